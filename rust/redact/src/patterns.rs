//! What a regular expression finds and a check confirms. Word boundaries are ASCII ones, since a Han character is a
//! word character to `\b` and a number glued to it would never match.

use regex::Regex;

use crate::checks;
use crate::context::{AGAINST, Context, char_at, char_before, has_before, judge, personal};
use crate::entity::{EntityType, Finding};

const DATE: &str = r"(?:(?:18|19|20)\d{2} ?[年./-] ?\d{1,2} ?[月./-] ?\d{1,2} ?[日号]?|\d{1,2}[./-]\d{1,2}[./-](?:18|19|20)\d{2}|(?:\d{1,2}(?:st|nd|rd|th)? )?(?:January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\.? (?:\d{1,2}(?:st|nd|rd|th)?,? )?(?:18|19|20)\d{2}|(?:19|20)\d{6})";

/// The compiled expressions.
pub(crate) struct Patterns {
    email: Regex,
    ipv4: Regex,
    ipv6: Regex,
    url: Regex,
    query: Regex,
    secret: Regex,
    told_secret: Regex,
    private_key: Regex,
    iban: Regex,
    nino: Regex,
    plate: Regex,
    passport: Regex,
    told_passport: Regex,
    permit: Regex,
    told_permit: Regex,
    credit_code: Regex,
    phone_us: Regex,
    phone_world: Regex,
    born: Regex,
    born_after: Regex,
    policy: Regex,
    organisation: Regex,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

impl Patterns {
    pub(crate) fn new() -> Self {
        let key = r"(?:[A-Za-z0-9]{0,20}[_-])?(?:password|passwd|pwd|passphrase|secret|api[_ -]?key|access[_ -]?key|access[_ -]?token|auth[_ -]?token|token|密码|口令|密钥|令牌)";
        Self {
            email: regex(
                r"[\p{Latin}0-9][\p{Latin}0-9._%+'-]{0,63} ?@ ?[\p{Latin}0-9-]{1,63}(?:\.[\p{Latin}0-9-]{1,63}){0,5}\.[A-Za-z]{2,24}",
            ),
            ipv4: regex(r"\d{1,3}(?:\.\d{1,3}){3}"),
            ipv6: regex(
                r"(?i)(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4})(?::[0-9a-f]{1,4}){0,6}|::(?:[0-9a-f]{1,4}:){0,6}[0-9a-f]{1,4}",
            ),
            url: regex(
                r#"(?i)[a-z][a-z0-9+.-]{1,20}://[^\s/:@"'<>]{1,100}:[^\s/@"'<>]{1,100}@[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+"#,
            ),
            query: regex(
                r#"(?i)[?&](?:password|passwd|pwd|token|access_token|api_?key|secret|sig|signature)=([^&\s"'<>，。]{4,})"#,
            ),
            secret: regex(
                r"(?-u:\b)(?:sk-[A-Za-z0-9_-]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|hf_[A-Za-z0-9]{30,}|LTAI[A-Za-z0-9]{12,}|AKID[A-Za-z0-9]{13,}|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})",
            ),
            told_secret: regex(&format!(
                r#"(?i)(?:{key})["']?\s{{0,2}}(?:[:=：是为]|is)\s{{0,2}}["']?([!-&(-~]{{6,200}})"#
            )),
            private_key: regex(
                r"(?s)-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.{1,8000}?-----END [A-Z ]{0,20}PRIVATE KEY-----",
            ),
            iban: regex(r"(?i)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,40}"),
            nino: regex(r"(?i)[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]"),
            plate: regex(
                r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼] ?[A-HJ-NP-Za-hj-np-z][ ·•・.-]?[A-HJ-NP-Za-hj-np-z0-9]{4,5}[A-HJ-NP-Za-hj-np-z0-9挂学警港澳]",
            ),
            passport: regex(r"(?i)(?:[EGDSPKM][0-9]{8}|E[A-HJ-NP-Z][0-9]{7}|(?:DE|SE|PE|MA)[0-9]{7})"),
            told_passport: regex(r"(?i)(?:护照|passport)[^\d。\n]{0,18}?(?-u:\b)([A-Z]{0,2}[0-9][A-Z0-9]{5,8})"),
            permit: regex(r"[A-Z]{1,2} ?\d{6} ?\([0-9A]\)|[A-Z][1289]\d{8}"),
            told_permit: regex(
                r"(?i)(?:回乡证|台胞证|通行证|往来港澳|往来台湾|港澳居民|台湾居民|居留证|permit)[^\d。\n]{0,14}?(?-u:\b)([HM]\d{8}(?:\d{2})?|[CLTW][A-Z]?\d{7,8}|\d{8}|\d{10})",
            ),
            credit_code: regex(r"[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}"),
            phone_us: regex(
                r"(?:\+1[ .-]?|1[.-])?(?:\(\d{3}\) ?|[2-9]\d{2}[ .-])\d{3}[ .-]\d{4}(?: ?(?:x|ext\.?) ?\d{1,5})?",
            ),
            phone_world: regex(r"(?:\+|00)[1-9]\d{0,2}(?:[ .-]?\(?\d{1,5}\)?){2,6}(?: ?(?:x|ext\.?) ?\d{1,5})?"),
            born: regex(&format!(
                r"(?i)(?:出生日期|出生年月日?|出生时间|出生于|生日|生于|date of birth|birth ?date|(?-u:\b)d\.?o\.?b\.?(?-u:\b)|(?-u:\b)born(?: on)?|birthday)(?:[ :：，,]{{0,3}}|\s?(?:is|was|是|为)\s?)({DATE})"
            )),
            born_after: regex(&format!(r"(?i)({DATE})(?:出生|生人|生，)")),
            policy: regex(
                r"(?i)(?:保单号码?|保单编号|保险单号|保险合同号|保单|policy (?:number|no\.?|#|id))[ :：#]{0,3}(?:是|为|is)?[ :：#]{0,2}([A-Z0-9][A-Z0-9-]{6,28}[A-Z0-9])",
            ),
            organisation: regex(
                r"(?:工作单位|就职于|任职于|供职于|受雇于|我在|他在|她在|单位[:：]|雇主[:：])[ ]?(\p{Han}{2,16}?(?:有限责任公司|股份有限公司|有限公司|集团|公司|银行|医院|大学|学院|中学|小学|事务所|研究所|幼儿园))",
            ),
        }
    }

    /// Every finding of the expressions in a folded text.
    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        let has = |needle: u8| text.as_bytes().contains(&needle);
        let digits = text.bytes().any(|byte| byte.is_ascii_digit());
        if has(b'@') {
            self.emails(text, found);
        }
        if has(b':') {
            self.plain(&self.url, EntityType::UrlCredentials, 0.9, text, found);
        }
        self.secrets(text, found);
        if digits {
            self.numbers(text, found);
            self.codes(text, found);
            self.told(text, found);
        }
        for hit in self.organisation.captures_iter(text) {
            if let Some(name) = hit.get(1) {
                found.push(Finding::new(EntityType::Organisation, name.range(), 0.55));
            }
        }
    }

    fn plain(&self, regex: &Regex, kind: EntityType, score: f32, text: &str, found: &mut Vec<Finding>) {
        found.extend(regex.find_iter(text).map(|hit| Finding::new(kind, hit.range(), score)));
    }

    fn emails(&self, text: &str, found: &mut Vec<Finding>) {
        for hit in self.email.find_iter(text) {
            let spaced = hit.as_str().contains(' ');
            let score = if spaced { 0.55 } else { 0.95 };
            found.push(Finding::new(EntityType::Email, hit.range(), score));
        }
    }

    fn secrets(&self, text: &str, found: &mut Vec<Finding>) {
        self.plain(&self.secret, EntityType::Secret, 0.9, text, found);
        self.plain(&self.private_key, EntityType::Secret, 1.0, text, found);
        for hit in self.query.captures_iter(text).filter_map(|hit| hit.get(1)) {
            found.push(Finding::new(EntityType::Secret, hit.range(), 0.8));
        }
        for hit in self.told_secret.captures_iter(text).filter_map(|hit| hit.get(1)) {
            let value = hit.as_str().trim_end_matches([',', '.', ';', '"', ')']);
            let classes = [
                u8::is_ascii_digit as fn(&u8) -> bool,
                u8::is_ascii_lowercase,
                u8::is_ascii_uppercase,
                u8::is_ascii_punctuation,
            ]
            .iter()
            .filter(|class| value.bytes().any(|byte| class(&byte)))
            .count();
            if value.len() >= 6 && classes >= 2 && !value.starts_with('<') && !value.starts_with('*') {
                found.push(Finding::new(EntityType::Secret, hit.start()..hit.start() + value.len(), 0.75));
            }
        }
    }

    fn numbers(&self, text: &str, found: &mut Vec<Finding>) {
        for hit in self.ipv4.find_iter(text).filter(|hit| alone(text, hit.start(), hit.end())) {
            let octets = hit.as_str().split('.').all(|octet| octet.parse::<u16>().is_ok_and(|octet| octet < 256));
            let reserved = ["0.", "127.", "255."].iter().any(|start| hit.as_str().starts_with(start));
            if octets && !reserved && judge(text, &hit.range(), &["ip"]) != Context::Against {
                let score = if personal(text, &hit.range()) { 0.85 } else { 0.4 };
                found.push(Finding::new(EntityType::IpAddress, hit.range(), score));
            }
        }
        for hit in self.ipv6.find_iter(text).filter(|hit| alone(text, hit.start(), hit.end())) {
            if hit.as_str().parse::<std::net::Ipv6Addr>().is_ok() && hit.as_str().len() > 6 {
                let score = if personal(text, &hit.range()) { 0.85 } else { 0.4 };
                found.push(Finding::new(EntityType::IpAddress, hit.range(), score));
            }
        }
        let phone_words: &[&str] = &["phone", "call", "tel", "mobile", "cell", "fax", "电话", "手机", "contact"];
        for hit in self.phone_us.find_iter(text).filter(|hit| alone(text, hit.start(), hit.end())) {
            // Numbers that are free for the caller, in China and America, are a firm's.
            if ["400", "800", "888"].iter().any(|service| hit.as_str().trim_start_matches('(').starts_with(service)) {
                continue;
            }
            match judge(text, &hit.range(), phone_words) {
                Context::For => found.push(Finding::new(EntityType::Phone, hit.range(), 0.95)),
                Context::Silent => found.push(Finding::new(EntityType::Phone, hit.range(), 0.7)),
                Context::Against => {}
            }
        }
        for hit in self.phone_world.find_iter(text).filter(|hit| alone(text, hit.start(), hit.end())) {
            let digits = hit.as_str().bytes().filter(u8::is_ascii_digit).count();
            let told = judge(text, &hit.range(), phone_words);
            if (9..=15).contains(&digits) && told != Context::Against {
                let plain = if hit.as_str().starts_with('+') { 0.7 } else { 0.3 };
                found.push(Finding::new(
                    EntityType::Phone,
                    hit.range(),
                    if told == Context::For { 0.85 } else { plain },
                ));
            }
        }
    }

    fn codes(&self, text: &str, found: &mut Vec<Finding>) {
        let mut from = 0;
        while let Some(hit) = self.iban.find_at(text, from) {
            from = hit.start() + 1;
            if let Some(end) = iban_end(text, hit.start(), hit.end()) {
                found.push(Finding::new(EntityType::Iban, hit.start()..end, 1.0));
                from = end;
            }
        }
        for hit in self.nino.find_iter(text).filter(|hit| alone(text, hit.start(), hit.end())) {
            let code: Vec<u8> =
                hit.as_str().bytes().filter(|byte| *byte != b' ').map(|byte| byte.to_ascii_uppercase()).collect();
            if checks::nino(&code) {
                let told = judge(text, &hit.range(), &["nino", "national insurance", "ni number", "ni no"]);
                let score = match told {
                    Context::For => 0.95,
                    Context::Silent if hit.as_str().bytes().all(|byte| !byte.is_ascii_lowercase()) => 0.6,
                    _ => 0.2,
                };
                found.push(Finding::new(EntityType::UkNino, hit.range(), score));
            }
        }
        for hit in self.plate.find_iter(text) {
            let digits = hit.as_str().bytes().filter(u8::is_ascii_digit).count();
            if digits > 0 && !char_at(text, hit.end()).is_some_and(|c| c.is_ascii_alphanumeric()) {
                let upper = !hit.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
                found.push(Finding::new(EntityType::Plate, hit.range(), if upper { 0.9 } else { 0.6 }));
            }
        }
        for hit in self.credit_code.find_iter(text).filter(|hit| alone(text, hit.start(), hit.end())) {
            let lettered = hit.as_str().bytes().any(|byte| byte.is_ascii_alphabetic());
            let told = judge(text, &hit.range(), &["信用代码", "税号", "纳税人识别号", "credit code"]);
            if checks::credit_code(hit.as_str().as_bytes()) && (told == Context::For || lettered) {
                found.push(Finding::new(EntityType::CreditCode, hit.range(), 0.9));
            }
        }
        for hit in self.permit.find_iter(text).filter(|hit| alone(text, hit.start(), hit.end())) {
            let id: Vec<u8> = hit.as_str().bytes().filter(u8::is_ascii_alphanumeric).collect();
            if checks::hong_kong_id(&id)
                || checks::taiwan_id(&id) && judge(text, &hit.range(), &["身份", "证", "id"]) == Context::For
            {
                found.push(Finding::new(EntityType::Permit, hit.range(), 0.85));
            }
        }
    }

    fn told(&self, text: &str, found: &mut Vec<Finding>) {
        for hit in self.passport.find_iter(text).filter(|hit| alone(text, hit.start(), hit.end())) {
            let score = match judge(text, &hit.range(), &["护照", "passport"]) {
                Context::For => 0.95,
                Context::Silent => 0.35,
                Context::Against => continue,
            };
            found.push(Finding::new(EntityType::Passport, hit.range(), score));
        }
        let told: [(&Regex, EntityType, f32); 4] = [
            (&self.told_passport, EntityType::Passport, 0.75),
            (&self.told_permit, EntityType::Permit, 0.85),
            (&self.born, EntityType::DateOfBirth, 0.85),
            (&self.born_after, EntityType::DateOfBirth, 0.75),
        ];
        for (regex, kind, score) in told {
            for hit in regex.captures_iter(text).filter_map(|hit| hit.get(1)) {
                if alone(text, hit.start(), hit.end()) && !has_before(text, hit.start(), 12, AGAINST) {
                    found.push(Finding::new(kind, hit.range(), score));
                }
            }
        }
        for hit in self.policy.captures_iter(text).filter_map(|hit| hit.get(1)) {
            let digits = hit.as_str().bytes().filter(u8::is_ascii_digit).count();
            if digits >= 6 && alone(text, hit.start(), hit.end()) {
                let score = if personal(text, &hit.range()) { 0.7 } else { 0.4 };
                found.push(Finding::new(EntityType::PolicyNumber, hit.range(), score));
            }
        }
    }
}

/// Whether no ASCII letter, digit, or decimal continues the span on either side.
fn alone(text: &str, start: usize, end: usize) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let more = |c: Option<char>| matches!(c, Some('.' | '-'));
    let before = char_before(text, start);
    let after = char_at(text, end);
    let joined = joins(before) || joins(after);
    let decimal = more(before) && start >= 2 && text.as_bytes()[start - 2].is_ascii_digit()
        || more(after) && text.as_bytes().get(end + 1).is_some_and(u8::is_ascii_digit);
    !joined && !decimal
}

/// Where the IBAN that starts here ends, if its country's length and its check digits say that it is one.
fn iban_end(text: &str, start: usize, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if start > 0 && bytes[start - 1].is_ascii_alphanumeric() {
        return None;
    }
    let country = [bytes[start].to_ascii_uppercase(), bytes[start + 1].to_ascii_uppercase()];
    let length = checks::iban_length(&country)?;
    let mut code = Vec::with_capacity(length);
    let mut at = start;
    while at < end && code.len() < length {
        if bytes[at].is_ascii_alphanumeric() {
            code.push(bytes[at].to_ascii_uppercase());
        }
        at += 1;
    }
    let ends = !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    (ends && checks::iban(&code)).then_some(at)
}
