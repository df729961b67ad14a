//! Chinese organisations, told by how they begin and end.
//!
//! Chinese has no word boundaries, so only names that begin like one are read: a state organ or a company whose name starts
//! with 中国, 国家, 最高 or a place. 银行 or 法院 alone, and 商业银行, are kinds and not names.

use super::scan::Line;
use super::value::{Found, Value};
use crate::text::is_han;

const BEGINNINGS: [&str; 20] = [
    "中国",
    "国家",
    "国务院",
    "全国",
    "中央",
    "最高",
    "北京",
    "上海",
    "天津",
    "重庆",
    "深圳",
    "广州",
    "广东",
    "浙江",
    "江苏",
    "山东",
    "四川",
    "福建",
    "湖北",
    "湖南",
];

const ENDINGS: [&str; 14] = [
    "委员会",
    "管理总局",
    "总局",
    "管理局",
    "总署",
    "银行",
    "法院",
    "检察院",
    "交易所",
    "公司",
    "协会",
    "基金会",
    "研究院",
    "部",
];

/// What stands in sentences and not in names.
const NOT_IN_NAMES: &str = "的和与及或在向由对应可不是将被按依经为从于以其该各等并自如若至让把给有无须需得者，。、；：";

/// Short names that everybody uses, and what they are short for.
const SHORT: [(&str, &str); 12] = [
    ("中国证券监督管理委员会", "证监会"),
    ("中国银行保险监督管理委员会", "银保监会"),
    ("中国银行业监督管理委员会", "银监会"),
    ("中国保险监督管理委员会", "保监会"),
    ("国家金融监督管理总局", "金融监管总局"),
    ("国家市场监督管理总局", "市场监管总局"),
    ("国家外汇管理局", "外汇局"),
    ("中国人民银行", "人民银行"),
    ("最高人民法院", "最高法"),
    ("最高人民检察院", "最高检"),
    ("国家税务总局", "税务总局"),
    ("国家发展和改革委员会", "国家发展改革委"),
];

/// The longest a name gets, in characters.
const LONGEST: usize = 24;

/// Every organisation of a text.
pub(super) fn organisations(line: &Line) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let begins = BEGINNINGS.iter().any(|word| line.starts(at, word));
        match begins.then(|| organisation(line, at)).flatten() {
            Some(end) => {
                let name = line.text(at..end);
                found.push(Found::claim(Value::Organisation(name), at..end));
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

/// The end of the name that begins at `at`.
fn organisation(line: &Line, at: usize) -> Option<usize> {
    let limit = (at..line.len().min(at + LONGEST))
        .find(|at| !line.char(*at).is_some_and(|c| is_han(c) && !NOT_IN_NAMES.contains(c)))
        .unwrap_or(line.len().min(at + LONGEST));
    // 国家发展和改革委员会 is the one that has 和 inside.
    let limit = if line.starts(at, "国家发展和改革委员会") { at + 10 } else { limit };
    let ends = |end: &usize| ENDINGS.iter().any(|word| ends_with(line, at..*end, word));
    let end = (at + 4..=limit).rev().find(ends)?;
    let name = line.text(at..end);
    // 部 ends many words: 全部, 内部, 国家干部.
    let is_ministry = !name.ends_with('部') || name.starts_with("国务院") || name.starts_with("中央");
    let parts = ["全部", "内部", "干部", "外部", "部分"].iter().any(|part| name.ends_with(part));
    // 全国法院 and 国家银行 are kinds of which there are many; 中国银行 is one.
    let bare = BEGINNINGS.iter().find_map(|word| name.strip_prefix(word)).unwrap_or_default();
    let is_kind = ENDINGS.contains(&bare) && name != "中国银行";
    let named = is_ministry && !parts && !is_kind && line.char(end) != Some('业');
    named.then_some(end)
}

fn ends_with(line: &Line, chars: std::ops::Range<usize>, word: &str) -> bool {
    let len = word.chars().count();
    chars.len() > len && line.starts(chars.end - len, word)
}

/// Whether `text` names the organisation, in full, by a short name, or without its beginning.
pub(super) fn is_named(name: &str, text: &str) -> bool {
    let short = SHORT.iter().find(|(full, _)| *full == name).map(|(_, short)| *short);
    let bare = BEGINNINGS.iter().find_map(|word| name.strip_prefix(word)).filter(|bare| bare.chars().count() >= 4);
    text.contains(name)
        || short.is_some_and(|short| text.contains(short))
        || bare.is_some_and(|bare| text.contains(bare))
}
