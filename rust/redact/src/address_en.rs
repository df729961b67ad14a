//! Addresses in Latin script: house number and street, `PO Box`, military addresses, flats, with the town and postal
//! code that follow on the same line.

use regex::Regex;

use crate::context::has_before;
use crate::entity::{EntityType, Finding};

const LABELS: &[&str] = &[
    "address",
    "live at",
    "lives at",
    "living at",
    "live on",
    "lives on",
    "reside",
    "moved to",
    "located",
    "send",
    "sent to",
    "ship",
    "deliver",
    "street",
];

/// Finds addresses written in Latin script.
pub(crate) struct LatinAddresses {
    street: Regex,
    compound: Regex,
    romance: Regex,
    boxes: Regex,
    flat: Regex,
    more: Regex,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

impl LatinAddresses {
    pub(crate) fn new() -> Self {
        Self {
            street: regex(
                r"(?:\d{1,6}[A-Za-z]?,? ){1,2}(?:[NSEW]\.? |North |South |East |West )?(?:(?:\p{Lu}[\p{L}'.-]*|\d{1,3}(?:st|nd|rd|th)) ){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Courts|Place|Pl|Square|Sq|Terrace|Ter|Way|Parkway|Pkwy|Highway|Hwy|Circle|Cir|Crescent|Close|Alley|Row|Trail|Loop|Grove|Gardens)(?-u:\b)\.?",
            ),
            compound: regex(
                r"(?i)(?:\d{1,6},? )?(?:\p{L}[\p{L}'.-]* ){0,2}\p{L}[\p{L}'-]{1,24}(?:stra(?:ß|ss)e|straat|gasse|platz|weg|allee|laan|plein|gracht|kade|gata|gatan|gate|gade|vej|veien|vegen|vägen|vägen|tie|katu|kuja|utca|út|ulica|tún)[ ]\d{1,5}[A-Za-z]?(?-u:\b)",
            ),
            romance: regex(
                r"(?:\d{1,6},? )?(?i:Rua|Via|Viale|Piazza|Rue|Calle|Avenida|Avda|Carrer|Ulica|ul\.|Strada|Travessa|Largo|Praça|Corso|Plaza|Paseo|Chemin|Quai|Boulevard|Avenue de)(?: (?:de|da|do|della|di|du|des|la|las|los|el|d'))*(?: \p{Lu}[\p{L}'.-]*){1,4},? (?:n[.º°] ?)?\d{1,5}[A-Za-z]?(?-u:\b)",
            ),
            boxes: regex(
                r"(?i)(?:P\.? ?O\.? ?Box|Post Office Box) \d{1,8}|(?:PSC|Unit|CMR|USNS|USS|USCGC|USNV) [A-Za-z0-9]+,? (?:Box \d{1,6}\s{1,3})?(?:APO|FPO|DPO),? A[AEP],? \d{5}(?:-\d{4})?|PSC \d{1,6},? Box \d{1,6}\s{1,3}(?:APO|FPO|DPO) A[AEP] \d{5}",
            ),
            flat: regex(r"(?-u:\b)(?:Apt\.?|Apartment|Suite|Ste\.?|Flat) #?\d{1,5}[A-Za-z]?(?-u:\b)"),
            more: regex(
                r"^\.?(?:[,.]?[ ]{1,2}(?:Apt\.?|Apartment|Suite|Ste\.?|Unit|Flat|Floor|#) ?#?[A-Za-z]?\d{1,5}[A-Za-z]?)?(?:,? (?:\p{Lu}[\p{L}'.-]+ ?){1,3})?(?:, [A-Z]{2}(?-u:\b))?(?:, \p{Lu}\p{L}+(?: \p{Lu}\p{L}+)?)?(?:,? (?:[A-Z]{2} )?(?:\d{4,6}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}))(?-u:\b)",
            ),
        }
    }

    /// Every address of a folded text.
    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        if !text.bytes().any(|byte| byte.is_ascii_digit()) || !text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            return;
        }
        for (regex, plain) in [
            (&self.street, 0.75),
            (&self.compound, 0.65),
            (&self.romance, 0.65),
            (&self.boxes, 0.85),
            (&self.flat, 0.5),
        ] {
            for hit in regex.find_iter(text) {
                let glued = text[..hit.start()].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
                if glued {
                    continue;
                }
                let mut end = hit.end();
                if let Some(more) = self.more.find(&text[end..]) {
                    end += more.end();
                } else if let Some(flat) = self.flat.find(&text[end..]).filter(|flat| flat.start() <= 3) {
                    end += flat.end();
                }
                let told = if has_before(text, hit.start(), 40, LABELS) { 0.15 } else { 0.0 };
                found.push(Finding::new(EntityType::Address, hit.start()..end, plain + told));
            }
        }
    }
}
