//! Values that look like the ones they replace: same length, same grouping, valid check characters, and always the
//! same for the same value under the same key.
//!
//! Every choice is drawn from a keyed BLAKE3 hash of kind and value, so the mapping cannot be reversed or repeated
//! without the key. Values are compared without spaces, dashes, width and case; a name is mapped word by word, so a
//! surname alone and the full name stay together.

use std::collections::BTreeSet;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::checks;
use crate::entity::EntityType;
use crate::error::Error;
use crate::fold::compact;

/// Surrogates that were put in place of values, as fingerprints under their key: they say nothing without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issued(BTreeSet<u64>);

impl Issued {
    /// How many are kept, at most; 8 bytes each in a report and some 12 in memory.
    pub const LIMIT: usize = 1 << 20;

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds another's; whether they all found room.
    pub(crate) fn extend(&mut self, others: &Self) -> bool {
        others.0.iter().all(|fingerprint| {
            self.0.contains(fingerprint) || self.0.len() < Self::LIMIT && self.0.insert(*fingerprint)
        })
    }
}

/// As one string of 16 hexadecimal digits each.
impl Serialize for Issued {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.iter().map(|fingerprint| format!("{fingerprint:016x}")).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Issued {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("fingerprints are 16 hexadecimal digits each");
        let (digits, rest) = text.as_bytes().as_chunks::<16>();
        if !rest.is_empty() || digits.len() > Self::LIMIT {
            return Err(wrong());
        }
        let one = |digits: &[u8; 16]| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            u64::from_str_radix(digits, 16).ok()
        };
        digits.iter().map(one).collect::<Option<_>>().map(Self).ok_or_else(wrong)
    }
}

/// Chooses surrogates under a secret key.
#[derive(Clone)]
pub struct Surrogates {
    key: [u8; 32],
}

impl std::fmt::Debug for Surrogates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Surrogates { key: .. }")
    }
}

/// Numbers drawn from the hash.
struct Draw(blake3::OutputReader);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % limit.max(1) as u64) as usize
    }

    fn digit(&mut self) -> u8 {
        b'0' + self.below(10) as u8
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A character of the same class.
    fn like(&mut self, byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => self.digit(),
            b'a'..=b'z' => b'a' + self.below(26) as u8,
            b'A'..=b'Z' => *self.one(b"ABCDEFGHJKLMNPQRSTUVWXYZ"),
            _ => byte,
        }
    }
}

const SURNAMES: &str =
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范";
const GIVEN: &str =
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛超兰霞刚桂文辉玲萍飞鹏燕雪琳晨浩宇轩涵欣怡诺思颖慧琪瑶婷倩璐珊薇蓉雯楠琴";
const LATIN_GIVEN: &[&str] = &[
    "James", "Mary", "Robert", "Linda", "David", "Susan", "Daniel", "Karen", "Thomas", "Laura", "Peter", "Julia",
    "Simon", "Helen", "Martin", "Alice", "Victor", "Clara", "Oliver", "Emily", "Henry", "Grace", "Samuel", "Diana",
    "Philip", "Teresa", "Andrew", "Monica",
];
const LATIN_SURNAMES: &[&str] = &[
    "Smith", "Brown", "Taylor", "Wilson", "Clark", "Walker", "Baker", "Carter", "Turner", "Parker", "Cooper", "Bailey",
    "Morgan", "Foster", "Hughes", "Bennett", "Fisher", "Mason", "Palmer", "Harper", "Dixon", "Hunter", "Porter",
    "Chapman", "Webb", "Barnes",
];
const PLACES: &[&str] = &[
    "北京市朝阳区",
    "上海市徐汇区",
    "广州市越秀区",
    "深圳市南山区",
    "杭州市西湖区",
    "成都市武侯区",
    "武汉市洪山区",
    "南京市鼓楼区",
];
const ROADS: &[&str] =
    &["人民路", "建设路", "解放路", "文化路", "和平路", "新华路", "中山路", "胜利路", "青年路", "东风路"];
const STREETS: &[&str] =
    &["Oak Street", "Maple Avenue", "Park Road", "Mill Lane", "Cedar Street", "Elm Street", "Lake Road", "Hill Street"];

impl Surrogates {
    /// Surrogates under a key. Who has the key can test guesses of a value; keep it apart from the data, or drop it.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// Surrogates under a key of the system's random numbers that nobody ever sees: consistent as long as this value
    /// lives, and not repeatable after.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the system has no random numbers.
    pub fn random() -> crate::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| Error::Io(std::io::Error::other(error)))?;
        Ok(Self::new(key))
    }

    /// Notes a surrogate as one that was put in place of a value.
    pub(crate) fn note(&self, surrogate: &str, issued: &mut Issued) {
        issued.0.insert(self.fingerprint(surrogate));
    }

    /// Whether a text is one of the surrogates that were put in place of values under this key.
    pub fn is_own(&self, text: &str, issued: &Issued) -> bool {
        !issued.is_empty() && issued.0.contains(&self.fingerprint(text))
    }

    fn fingerprint(&self, surrogate: &str) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"issued\0").update(compact(surrogate).to_lowercase().as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn draw(&self, kind: EntityType, value: &str, attempt: u8) -> Draw {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(kind.name().as_bytes()).update(&[0, attempt]).update(value.as_bytes());
        Draw(hasher.finalize_xof())
    }

    /// The surrogate of a value: never the value itself.
    pub fn of(&self, kind: EntityType, value: &str) -> String {
        let canonical = compact(value).to_lowercase();
        let attempts = (0..=u8::MAX).map(|attempt| self.attempt(kind, value, &canonical, attempt));
        attempts
            .into_iter()
            .find(|surrogate| compact(surrogate).to_lowercase() != canonical)
            .unwrap_or_else(|| format!("<{kind}>"))
    }

    fn attempt(&self, kind: EntityType, value: &str, canonical: &str, attempt: u8) -> String {
        let mut draw = self.draw(kind, canonical, attempt);
        let code: Vec<u8> = compact(value).bytes().filter(u8::is_ascii_alphanumeric).collect();
        match kind {
            EntityType::Person => self.person(value, attempt),
            EntityType::Address => address(value, &mut draw),
            EntityType::Organisation => {
                format!("{}有限公司", draw.one(&["和信", "瑞丰", "中盛", "启明", "远景", "恒通"]))
            }
            EntityType::Email => email(value, &mut draw),
            EntityType::IdCard => pour(value, &resident_id(&code, &mut draw)),
            EntityType::BankCard => pour(value, &card(&code, &mut draw)),
            EntityType::CreditCode => pour(value, &credit_code(&code, &mut draw)),
            EntityType::Iban => pour(value, &iban(&code, &mut draw)),
            EntityType::UsSsn => pour(value, &ssn(&mut draw)),
            EntityType::Phone => pour(value, &phone(&code, &mut draw)),
            EntityType::IpAddress if value.contains('.') => {
                format!("198.{}.{}.{}", 18 + draw.below(2), draw.below(256), draw.below(256))
            }
            EntityType::IpAddress => format!("2001:db8::{:x}:{:x}", draw.below(65536), 1 + draw.below(65535)),
            EntityType::UrlCredentials => format!("https://user:{:08x}@example.com/", draw.below(1 << 32)),
            EntityType::DateOfBirth => birth(value, &mut draw),
            EntityType::Plate => pour(value, &keep_first_letter(&code, &mut draw)),
            EntityType::UkNino => pour(value, &nino(&mut draw)),
            EntityType::Permit => pour(value, &permit(&code, &mut draw)),
            EntityType::Passport => pour(value, &keep_first_letter(&code, &mut draw)),
            EntityType::Secret | EntityType::PolicyNumber | EntityType::AccountNumber => {
                value.chars().map(|c| if c.is_ascii() { char::from(draw.like(c as u8)) } else { c }).collect()
            }
        }
    }

    fn person(&self, value: &str, attempt: u8) -> String {
        let letters: Vec<char> = value.chars().filter(|c| c.is_alphanumeric()).collect();
        if letters.iter().any(|c| ('\u{4E00}'..='\u{9FFF}').contains(c)) {
            let mut draw = self.draw(EntityType::Person, &letters.iter().collect::<String>(), attempt);
            let (surnames, given): (Vec<char>, Vec<char>) = (SURNAMES.chars().collect(), GIVEN.chars().collect());
            let mut first = true;
            return value
                .chars()
                .map(|c| {
                    if !c.is_alphanumeric() {
                        return c;
                    }
                    *draw.one(if std::mem::take(&mut first) { &surnames } else { &given })
                })
                .collect();
        }
        let words = value.split_whitespace().count();
        let mut seen = 0;
        value
            .split_inclusive(char::is_whitespace)
            .map(|piece| {
                let word = piece.trim_end();
                seen += 1;
                let mut draw = self.draw(EntityType::Person, &word.to_lowercase(), attempt);
                let initial = word.trim_end_matches('.').chars().count() == 1;
                let new = if initial {
                    format!("{}{}", char::from(draw.like(b'A')), if word.ends_with('.') { "." } else { "" })
                } else if seen == words && words > 1 || words == 1 && attempt.is_multiple_of(2) {
                    (*draw.one(LATIN_SURNAMES)).to_owned()
                } else {
                    (*draw.one(LATIN_GIVEN)).to_owned()
                };
                new + &piece[word.len()..]
            })
            .collect()
    }
}

/// Writes new letters and digits into the shape of a value: its separators and widths stay.
fn pour(shape: &str, code: &[u8]) -> String {
    let mut code = code.iter();
    shape
        .chars()
        .map(|c| {
            let wide = ('\u{FF01}'..='\u{FF5E}').contains(&c);
            let narrow = if wide { char::from_u32(c as u32 - 0xFEE0).unwrap_or(c) } else { c };
            if !narrow.is_ascii_alphanumeric() && c != '|' {
                return c;
            }
            let Some(&byte) = code.next() else { return c };
            if wide { char::from_u32(u32::from(byte) + 0xFEE0).unwrap_or(c) } else { char::from(byte) }
        })
        .collect()
}

fn day(draw: &mut Draw) -> String {
    format!("{}{:02}{:02}", 1950 + draw.below(55), 1 + draw.below(12), 1 + draw.below(28))
}

fn resident_id(code: &[u8], draw: &mut Draw) -> Vec<u8> {
    let place = *draw.one(&["110101", "310104", "440106", "330106", "420111", "510107", "320106", "610113"]);
    let date = day(draw);
    let mut id = place.as_bytes().to_vec();
    id.extend_from_slice(if code.len() == 15 { &date.as_bytes()[2..] } else { date.as_bytes() });
    id.extend([draw.digit(), draw.digit(), draw.digit()]);
    if code.len() != 15 {
        id.push(checks::mod_11_2(&id));
    }
    id
}

fn card(code: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut new: Vec<u8> =
        code.iter().enumerate().map(|(at, &byte)| if at < 4 { byte } else { draw.digit() }).collect();
    if let Some(last) = new.len().checked_sub(1) {
        for check in b'0'..=b'9' {
            new[last] = check;
            if checks::luhn(&new) {
                break;
            }
        }
    }
    new
}

fn credit_code(code: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut new = code.get(..2).unwrap_or(b"91").to_ascii_uppercase();
    new.extend_from_slice(draw.one(&["110101", "310104", "440106", "330106"]).as_bytes());
    new.push(b'M');
    new.push(b'A');
    new.extend((0..7).map(|_| draw.digit()));
    new.extend(checks::mod_31(&new));
    new
}

fn iban(code: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut new: Vec<u8> =
        code.iter().enumerate().map(|(at, &byte)| if at < 2 { byte } else { draw.like(byte) }).collect();
    if new.len() >= 4 {
        new[2..4].copy_from_slice(b"00");
        let check = 98 - checks::mod_97(&new);
        new[2..4].copy_from_slice(format!("{check:02}").as_bytes());
    }
    new
}

fn ssn(draw: &mut Draw) -> Vec<u8> {
    format!("{:03}{:02}{:04}", 100 + draw.below(500), 1 + draw.below(99), 1 + draw.below(9999)).into_bytes()
}

fn nino(draw: &mut Draw) -> Vec<u8> {
    format!(
        "{}{}{:06}{}",
        draw.one(&["A", "B", "C", "H", "J"]),
        draw.one(&["A", "B", "C", "E", "P"]),
        draw.below(1_000_000),
        draw.one(&["A", "B", "C", "D"])
    )
    .into_bytes()
}

/// The country and network beginning stays, the subscriber's digits change.
fn phone(code: &[u8], draw: &mut Draw) -> Vec<u8> {
    let keep = match code {
        [b'8', b'6', rest @ ..] if rest.len() >= 10 => 5,
        _ if code.len() >= 10 => 3,
        _ => 1,
    };
    let mut new: Vec<u8> =
        code.iter().enumerate().map(|(at, &byte)| if at < keep { byte } else { draw.like(byte) }).collect();
    // A North American exchange begins with 2 to 9.
    if code.len() >= 10 && new.len() > 3 {
        let exchange = new.len() - 7;
        new[exchange] = b'2' + draw.below(8) as u8;
    }
    new
}

fn keep_first_letter(code: &[u8], draw: &mut Draw) -> Vec<u8> {
    code.iter()
        .enumerate()
        .map(|(at, &byte)| if at == 0 && byte.is_ascii_alphabetic() { byte } else { draw.like(byte) })
        .collect()
}

fn permit(code: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut new = keep_first_letter(code, draw);
    let (hong_kong, taiwan) = (checks::hong_kong_id(code), checks::taiwan_id(code));
    let Some(last) = new.len().checked_sub(1) else { return new };
    if taiwan {
        new[1] = code[1];
    }
    for check in *b"0123456789A" {
        new[last] = check;
        if !(hong_kong || taiwan) && check.is_ascii_digit()
            || hong_kong && checks::hong_kong_id(&new)
            || taiwan && checks::taiwan_id(&new)
        {
            break;
        }
    }
    new
}

fn email(value: &str, draw: &mut Draw) -> String {
    let local = value.split('@').next().unwrap_or_default().trim_end();
    let local: String = local
        .chars()
        .map(|c| if c.is_ascii() { char::from(draw.like(c as u8)).to_ascii_lowercase() } else { 'x' })
        .collect();
    format!("{}@{}", local, draw.one(&["example.com", "example.org", "example.net"]))
}

fn birth(value: &str, draw: &mut Draw) -> String {
    let day = day(draw);
    let (year, month, date) = (&day[..4], &day[4..6], &day[6..]);
    if !value.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        let parts: Vec<&str> = value.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
        match parts[..] {
            [y, ..] if parts.len() == 3 && y.len() == 4 => {
                let mut new = [year, month, date].into_iter();
                return pieces(value, |_| new.next().unwrap_or_default().to_owned());
            }
            [..] if parts.len() == 3 => {
                let mut new = [date, month, year].into_iter();
                return pieces(value, |_| new.next().unwrap_or_default().to_owned());
            }
            _ => return pour(value, day.as_bytes()),
        }
    }
    pieces(value, |digits| if digits.len() == 4 { year.to_owned() } else { date.to_owned() })
}

/// The value with every run of digits replaced.
fn pieces(value: &str, mut of: impl FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(value.len());
    let mut run = String::new();
    for c in value.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            run.push(c);
            continue;
        }
        if !run.is_empty() {
            out.push_str(&of(&run));
            run.clear();
        }
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn address(value: &str, draw: &mut Draw) -> String {
    let number = 1 + draw.below(899);
    if value.chars().any(|c| ('\u{4E00}'..='\u{9FFF}').contains(&c)) {
        let mut new = format!("{}{}{number}号", draw.one(PLACES), draw.one(ROADS));
        if value.contains(['栋', '幢', '座', '室']) {
            new += &format!(
                "{}栋{}单元{}0{}室",
                1 + draw.below(30),
                1 + draw.below(6),
                1 + draw.below(20),
                1 + draw.below(8)
            );
        }
        return new;
    }
    format!("{number} {}", draw.one(STREETS))
}
