//! Words near a number that say what it is.

use std::ops::Range;

/// What the nearest telling word before (or just after) a span says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    For,
    Against,
    Silent,
}

/// Words after which a number is not a person's: orders, statutes, amounts, hotlines.
pub(crate) const AGAINST: &[&str] = &[
    "订单",
    "流水",
    "单号",
    "编号",
    "交易号",
    "快递",
    "运单",
    "物流",
    "批次",
    "序列号",
    "凭证号",
    "发票",
    "合同号",
    "文号",
    "案号",
    "条形码",
    "验证码",
    "金额",
    "股票",
    "代码",
    "热线",
    "客服",
    "工单",
    "版本",
    "保费",
    "尾号",
    "余额",
    "总计",
    "共计",
    "票据",
    "工号",
    "货号",
    "型号",
    "order",
    "tracking",
    "invoice",
    "transaction",
    "serial",
    "version",
    "article",
    "ticket",
    "reference",
    "request-id",
    "request id",
    "trace",
    "hotline",
    "isbn",
    "amount",
    "total",
    "build",
    "sku",
    "batch",
    "parcel",
    "shipment",
    "uuid",
];

/// Words that tie a sentence to a person.
const PERSONAL: &[&str] = &[
    "我",
    "本人",
    "您",
    "你",
    "他",
    "她",
    "客户",
    "用户",
    "投保人",
    "被保险人",
    "受益人",
    "姓名",
    "先生",
    "女士",
    "持有人",
    "户名",
    "收款人",
    "my ",
    "your ",
    "his ",
    "her ",
    "customer",
    "client",
    "holder",
    "insured",
    "user",
    "name",
    "mr.",
    "mrs.",
    "ms.",
    "i ",
];

const BEFORE: usize = 48;

/// The text up to `bytes` before `at`, lower case, on a character boundary; it ends where a sentence or paragraph does.
fn window_before(text: &str, at: usize, bytes: usize) -> String {
    let mut from = at.saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let window = &text[from..at];
    let cut = window.rfind(['。', '！', '？']).map_or(0, |cut| cut + 3);
    let cut = cut.max(window.rfind("\n\n").map_or(0, |cut| cut + 2));
    window[cut..].to_ascii_lowercase()
}

fn window_after(text: &str, at: usize, bytes: usize) -> String {
    let mut to = (at + bytes).min(text.len());
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    text[at..to].to_ascii_lowercase()
}

fn last_of(window: &str, words: &[&str]) -> Option<usize> {
    words.iter().filter_map(|word| window.rfind(word).map(|at| at + word.len())).max()
}

/// Whether the nearest telling word before the span is one of `words` or one of [`AGAINST`].
pub(crate) fn judge(text: &str, span: &Range<usize>, words: &[&str]) -> Context {
    let window = window_before(text, span.start, BEFORE);
    match (last_of(&window, words), last_of(&window, AGAINST)) {
        (Some(for_it), Some(against)) if for_it >= against => Context::For,
        (Some(_), None) => Context::For,
        (_, Some(_)) => Context::Against,
        (None, None) => {
            let after = window_after(text, span.end, 18);
            let after = after.split(['。', '，', '；', ';', '\n']).next().unwrap_or_default();
            if words.iter().any(|word| after.contains(word)) { Context::For } else { Context::Silent }
        }
    }
}

/// Whether one of `words` stands within `bytes` before the position.
pub(crate) fn has_before(text: &str, at: usize, bytes: usize, words: &[&str]) -> bool {
    last_of(&window_before(text, at, bytes), words).is_some()
}

/// Whether the words around the span speak of a person.
pub(crate) fn personal(text: &str, span: &Range<usize>) -> bool {
    let (before, after) = (window_before(text, span.start, 90), window_after(text, span.end, 45));
    PERSONAL.iter().any(|word| before.contains(word))
        || PERSONAL.iter().any(|word| after.split('。').next().unwrap_or_default().contains(word))
}

/// The character before a position.
pub(crate) fn char_before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}

/// The character at a position.
pub(crate) fn char_at(text: &str, at: usize) -> Option<char> {
    text[at..].chars().next()
}
