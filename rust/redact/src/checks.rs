//! Check characters and number plans: pure functions on ASCII.

/// Two-digit codes of GB/T 2260 (provinces), with 81 to 83 for residence permits of Hong Kong, Macau and Taiwan.
const PROVINCES: &[u8] = &[
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63,
    64, 65, 71, 81, 82, 83,
];

fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0'))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, &byte| sum * 10 + digit(byte))
}

fn all_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

/// Whether the six digits begin with a province of GB/T 2260 and name a place below it.
pub(crate) fn region(code: &[u8]) -> bool {
    code.len() == 6
        && all_digits(code)
        && PROVINCES.contains(&(number(&code[..2]) as u8))
        && (number(&code[2..6]) != 0 || number(&code[..2]) > 80)
}

/// Whether year, month and day are a day of the Gregorian calendar between 1880 and 2100.
pub(crate) fn date(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1880..2100).contains(&year) && (1..=days).contains(&day)
}

/// The check character of the first 17 digits of a resident number: ISO 7064 MOD 11-2, GB 11643-1999.
pub(crate) fn mod_11_2(digits: &[u8]) -> u8 {
    let sum: u32 = digits.iter().enumerate().map(|(at, &byte)| digit(byte) * ((1 << (17 - at)) % 11)).sum();
    b"10X98765432"[(sum % 11) as usize]
}

/// Whether 18 characters are a resident number: place, date of birth, check character. `x` counts as `X`.
pub(crate) fn resident_id(id: &[u8]) -> bool {
    id.len() == 18
        && all_digits(&id[..17])
        && region(&id[..6])
        && date(number(&id[6..10]), number(&id[10..12]), number(&id[12..14]))
        && mod_11_2(&id[..17]) == id[17].to_ascii_uppercase()
}

/// Whether 15 digits are a resident number of the kind issued before 1999 (two-digit year, no check character).
pub(crate) fn legacy_id(id: &[u8]) -> bool {
    id.len() == 15
        && all_digits(id)
        && region(&id[..6])
        && date(1900 + number(&id[6..8]), number(&id[8..10]), number(&id[10..12]))
}

/// The Luhn check of ISO/IEC 7812-1, annex B.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &byte)| if at % 2 == 1 { digit(byte) * 2 / 10 + digit(byte) * 2 % 10 } else { digit(byte) })
        .sum();
    all_digits(digits) && sum.is_multiple_of(10) && digits.iter().any(|&byte| byte != b'0')
}

/// Whether a card scheme issues numbers of this length with this beginning (ISO/IEC 7812 issuer ranges as published
/// by the schemes: UnionPay, Visa, Mastercard, American Express, JCB, Discover, Diners Club, Maestro).
pub(crate) fn card_range(digits: &[u8]) -> bool {
    if digits.len() < 12 || !all_digits(digits) {
        return false;
    }
    let (two, three, four) = (number(&digits[..2]), number(&digits[..3]), number(&digits[..4]));
    match digits.len() {
        16..=19 if two == 62 || four == 9558 || four == 6858 => true,
        13 | 16 | 19 if digits[0] == b'4' => true,
        16 if (51..=55).contains(&two) || (2221..=2720).contains(&four) => true,
        15 if two == 34 || two == 37 => true,
        16..=19 if (3528..=3589).contains(&four) => true,
        16..=19 if four == 6011 || (644..=649).contains(&three) || two == 65 => true,
        14..=19 if two == 36 || two == 38 || two == 39 || (300..=305).contains(&three) => true,
        12..=19 if two == 50 || (56..=58).contains(&two) || matches!(four, 6304 | 6759 | 6761..=6763) => true,
        _ => false,
    }
}

const CREDIT_ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// The check character of the first 17 characters of a unified social credit code: MOD 31, GB 32100-2015.
/// `None` where a character is outside the code's alphabet.
pub(crate) fn mod_31(code: &[u8]) -> Option<u8> {
    let mut sum = 0_usize;
    let mut weight = 1_usize;
    for byte in code.iter().take(17) {
        sum += CREDIT_ALPHABET.iter().position(|other| other == byte)? * weight;
        weight = weight * 3 % 31;
    }
    Some(CREDIT_ALPHABET[(31 - sum % 31) % 31])
}

/// Whether 18 upper-case characters are a unified social credit code: authority and kind, place, check character.
pub(crate) fn credit_code(code: &[u8]) -> bool {
    code.len() == 18
        && matches!(code[0], b'1'..=b'9' | b'A' | b'G' | b'N' | b'Y')
        && all_digits(&code[2..8])
        && (region(&code[2..8]) || code[2..4] == *b"10")
        && mod_31(&code[..17]) == Some(code[17])
}

/// Lengths of the IBANs of the ISO 13616 registry.
const IBAN_LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 \
    EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 \
    KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 \
    PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SD18 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 \
    VA22 VG24 XK20";

/// How many characters an IBAN of this country has, by its two upper-case letters.
pub(crate) fn iban_length(country: &[u8]) -> Option<usize> {
    let entry = IBAN_LENGTHS.split_whitespace().find(|entry| &entry.as_bytes()[..2] == country)?;
    entry[2..].parse().ok()
}

/// The remainder modulo 97 of an IBAN turned round (ISO 7064 MOD 97-10): 1 for a valid one.
pub(crate) fn mod_97(iban: &[u8]) -> u32 {
    let turned = iban.iter().skip(4).chain(iban.iter().take(4));
    turned.fold(0, |rest, &byte| match byte {
        b'0'..=b'9' => (rest * 10 + digit(byte)) % 97,
        _ => (rest * 100 + u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')) + 10) % 97,
    })
}

/// Whether upper-case letters and digits without spaces are a valid IBAN.
pub(crate) fn iban(code: &[u8]) -> bool {
    code.len() >= 15 && iban_length(&code[..2]) == Some(code.len()) && all_digits(&code[2..4]) && mod_97(code) == 1
}

/// Whether nine digits may be a US social security number (Social Security Administration: no area 000, 666, 9xx).
pub(crate) fn ssn(digits: &[u8]) -> bool {
    digits.len() == 9
        && all_digits(digits)
        && !matches!(number(&digits[..3]), 0 | 666 | 900..)
        && number(&digits[3..5]) != 0
        && number(&digits[5..]) != 0
}

/// Whether letters and digits are a Hong Kong identity card number with its check digit (modulo 11).
pub(crate) fn hong_kong_id(id: &[u8]) -> bool {
    let letters = id.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    if !(1..=2).contains(&letters) || id.len() != letters + 7 || !all_digits(&id[letters..letters + 6]) {
        return false;
    }
    let value = |byte: u8| if byte.is_ascii_digit() { digit(byte) } else { u32::from(byte - b'A') + 10 };
    let mut sum = if letters == 1 { 36 * 9 } else { 0 };
    for (at, &byte) in id[..id.len() - 1].iter().enumerate() {
        sum += value(byte) * (id.len() - at) as u32;
    }
    let check = (11 - sum % 11) % 11;
    id[id.len() - 1] == if check == 10 { b'A' } else { b'0' + check as u8 }
}

/// Whether a letter and nine digits are a Taiwan identity number with its check digit.
pub(crate) fn taiwan_id(id: &[u8]) -> bool {
    if id.len() != 10
        || !id[0].is_ascii_uppercase()
        || !all_digits(&id[1..])
        || !matches!(id[1], b'1' | b'2' | b'8' | b'9')
    {
        return false;
    }
    let order = b"ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let Some(place) = order.iter().position(|&byte| byte == id[0]) else { return false };
    let place = place as u32 + 10;
    let sum = place / 10
        + place % 10 * 9
        + id[1..9].iter().enumerate().map(|(at, &byte)| digit(byte) * (8 - at as u32)).sum::<u32>()
        + digit(id[9]);
    sum.is_multiple_of(10)
}

/// Whether letters and digits are a UK national insurance number (HMRC, NIM39110: prefixes that are never issued).
pub(crate) fn nino(code: &[u8]) -> bool {
    code.len() == 9
        && !b"DFIQUV".contains(&code[0])
        && !b"DFIOQUV".contains(&code[1])
        && !matches!(&code[..2], b"BG" | b"GB" | b"NK" | b"KN" | b"TN" | b"NT" | b"ZZ")
        && all_digits(&code[2..8])
        && (b'A'..=b'D').contains(&code[8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_pass_and_a_changed_digit_fails() {
        // GB 11643-1999 annex; ISO 13616 and scheme test numbers; the code of GB 32100-2015's example kind.
        assert!(resident_id(b"11010519491231002X") && !resident_id(b"110105194912310021"));
        assert!(resident_id(b"440524188001010014"));
        assert!(iban(b"GB82WEST12345698765432") && !iban(b"GB82WEST12345698765433"));
        assert!(iban(b"DE89370400440532013000"));
        assert!(luhn(b"4111111111111111") && !luhn(b"4111111111111112"));
        assert!(hong_kong_id(b"A1234563") && !hong_kong_id(b"A1234564"));
        assert!(taiwan_id(b"A123456789") && !taiwan_id(b"A123456788"));
        assert!(credit_code(b"91350100M000100Y43") && !credit_code(b"91350100M000100Y44"));
    }

    #[test]
    fn impossible_dates_and_places_fail() {
        assert!(!date(2023, 2, 29) && date(2024, 2, 29) && !date(2024, 13, 1));
        assert!(!region(b"990101") && !region(b"110000") && region(b"110101"));
        assert!(!ssn(b"000121234") && !ssn(b"666121234") && !ssn(b"900121234") && ssn(b"301186332"));
    }
}
