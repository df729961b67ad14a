//! Chinese addresses by their grammar: 省 市 区 县 镇, then a road with a number, then a compound, building, unit, room.
//!
//! An expression finds the part that makes it an address (a road with a house number, or a building with a room); what
//! stands before is then trimmed to where the place names begin, by the list of provinces and prefectures or by the
//! word that introduces the address.

use std::collections::HashSet;

use regex::Regex;

use crate::context::{char_at, has_before};
use crate::entity::{EntityType, Finding};
use crate::places;

const INTRODUCE: &[&str] = &[
    "住址",
    "地址",
    "住在",
    "居住于",
    "居住在",
    "家住",
    "位于",
    "寄到",
    "寄往",
    "送到",
    "送至",
    "邮寄至",
    "搬到",
    "搬至",
    "迁至",
    "寄至",
    "现居",
    "户籍",
    "老家",
    "住",
    "是",
    "为",
    "在",
    "到",
    "至",
    "往",
    "于",
    "从",
    "去",
    "给",
    "改成",
    "改为",
];

const LABELS: &[&str] = &[
    "地址", "住址", "住所", "家住", "住在", "我住", "居住", "现居", "户籍", "送到", "寄到", "寄往", "寄至", "邮寄",
    "收货", "上门", "address",
];

/// Finds addresses written in Chinese.
pub(crate) struct ChineseAddresses {
    core: Regex,
    one_part: Regex,
    places: HashSet<&'static str>,
}

impl ChineseAddresses {
    pub(crate) fn new() -> Self {
        let n = r"[0-9A-Za-z〇零一二三四五六七八九十百甲乙丙丁-]{1,8}";
        let tail = format!(
            r"(?:[ ，,]?\p{{Han}}{{1,12}}?(?:小区|花园|大厦|公寓|广场|家园|新村|别墅|雅苑|国际|中心|大院|宿舍|庄园|名苑|新城|豪庭|公馆|苑|园|城|府|庭|湾|里|院))?(?:[ ，,]?{n}(?:号楼|号院|栋|幢|座|期|区|单元|门|层|楼|室|房|号|户|弄)){{0,6}}(?:[ -]?[0-9]{{2,4}}室?)?"
        );
        let road = format!(
            r"[\p{{Han}}0-9]{{1,28}}?(?:大道|大街|胡同|街道|公路|路|街|巷|弄|道|村|组|屯|庄|里|坊)(?:[东西南北中]段?|[0-9一二三四五六七八九十]{{1,3}}段)?[ ]?{n}(?:号院|号楼|号|弄|栋|幢|组|巷)(?:之[0-9一二三四五六七八九十]{{1,2}})?{tail}"
        );
        let compound = r"\p{Han}{2,28}?(?:小区|花园|大厦|公寓|广场|家园|新村|别墅|宿舍|雅苑|苑|园|城|府|湾|里|院)[ ]?";
        let part = format!("(?:{n}(?:号楼|栋|幢|座|期|单元|门|层|楼|室|房|号|户))");
        let building = format!(r"{compound}{part}{{2,6}}(?:[ -]?[0-9]{{3,4}}室?)?");
        Self {
            // One part of a building alone is as often a shop's; a label and a known place make it a home.
            one_part: Regex::new(&format!("{compound}{part}"))
                .expect("the pattern is a constant that the tests compile"),
            core: Regex::new(&format!("(?:{road})|(?:{building})"))
                .expect("the pattern is a constant that the tests compile"),
            places: places::PROVINCES.split_whitespace().chain(places::CITIES.split_whitespace()).collect(),
        }
    }

    /// Every address of a folded text.
    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        if !text.contains(['号', '室', '栋', '幢', '座', '弄', '组', '楼']) {
            return;
        }
        for hit in self.core.find_iter(text) {
            let after = char_at(text, hit.end());
            if matches!(after, Some('线' | '令' | '文' | '公' | '条' | '、')) && hit.as_str().ends_with('号') {
                continue;
            }
            let (skip, known) = self.begin(hit.as_str());
            let range = hit.start() + skip..hit.end();
            if range.is_empty() {
                continue;
            }
            let labelled = has_before(text, range.start, 30, LABELS);
            let rooms = hit.as_str().contains(['室', '栋', '幢', '弄']) || hit.as_str().contains("单元");
            let score = 0.5
                + if known { 0.25 } else { 0.0 }
                + if labelled { 0.15 } else { 0.0 }
                + if rooms { 0.1 } else { 0.0 };
            found.push(Finding::new(EntityType::Address, range, score));
        }
        for hit in self.one_part.find_iter(text) {
            let (skip, known) = self.begin(hit.as_str());
            let range = hit.start() + skip..hit.end();
            if known && has_before(text, range.start, 30, LABELS) {
                found.push(Finding::new(EntityType::Address, range, 0.7));
            }
        }
    }

    /// How many bytes before the address itself begins, and whether a known place begins it.
    fn begin(&self, hit: &str) -> (usize, bool) {
        let starts: Vec<usize> = hit.char_indices().map(|(at, _)| at).collect();
        for (index, &at) in starts.iter().enumerate() {
            for length in 2..=4 {
                let end = starts.get(index + length).copied().unwrap_or(hit.len());
                let rest = &hit[end..];
                let marked = ["省", "市", "自治", "壮族", "回族", "维吾尔", "特别", "地区", "盟", "州"]
                    .iter()
                    .any(|mark| rest.starts_with(mark));
                let stem = self.places.contains(&hit[at..end]);
                if stem && (marked || rest.char_indices().take(8).any(|(_, c)| matches!(c, '市' | '区' | '县'))) {
                    return (at, true);
                }
            }
        }
        let head = hit.find(|c: char| c.is_ascii_digit()).unwrap_or(hit.len());
        let skip =
            INTRODUCE.iter().filter_map(|word| hit[..head].rfind(word).map(|at| at + word.len())).max().unwrap_or(0);
        (skip.min(hit.len()), false)
    }
}
