//! Names in Latin script: a known given name with a capitalised word, a title, an introduction, a speaker's label,
//! or two capitalised words with an initial between them or an ending that only surnames have.

use std::collections::HashSet;
use std::ops::Range;

use regex::Regex;

use crate::entity::{EntityType, Finding};

/// Given names in wide use (US Social Security Administration, UK ONS and other national lists, and pinyin).
const GIVEN: &str = "James John Robert Michael William David Richard Joseph Thomas Charles Christopher Daniel Matthew Anthony Mark Donald Steven Paul Andrew Joshua \
    Kenneth Kevin Brian George Timothy Ronald Edward Jason Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel Gregory \
    Alexander Frank Patrick Raymond Jack Dennis Jerry Tyler Aaron Jose Adam Nathan Henry Douglas Zachary Peter Kyle Ethan Walter Noah Jeremy Christian Keith Roger Terry \
    Gerald Harold Sean Austin Carl Arthur Lawrence Dylan Jesse Jordan Bryan Billy Joe Bruce Gabriel Logan Albert Willie Alan Juan Wayne Elijah Randy Roy Vincent Ralph \
    Eugene Russell Bobby Mason Philip Louis Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Betty Margaret Sandra Ashley Kimberly Emily \
    Donna Michelle Carol Amanda Dorothy Melissa Deborah Stephanie Rebecca Sharon Laura Cynthia Kathleen Amy Angela Shirley Anna Brenda Pamela Emma Nicole Helen Samantha \
    Katherine Christine Debra Rachel Carolyn Janet Catherine Maria Heather Diane Ruth Julie Olivia Joyce Virginia Victoria Kelly Lauren Christina Joan Evelyn Judith Megan \
    Andrea Cheryl Hannah Jacqueline Martha Gloria Teresa Ann Sara Madison Frances Kathryn Janice Jean Abigail Alice Julia Judy Sophia Grace Denise Amber Doris Marilyn Danielle \
    Beverly Isabella Theresa Diana Natalie Brittany Charlotte Marie Kayla Alexis Lori Liam Oliver Lucas Mateo Levi Theodore Aiden Jackson Sebastian Owen Wyatt Carter Luke \
    Isaac Julian Leo Lincoln Hudson Ezra Maverick Asher Miles Ava Mia Amelia Harper Luna Camila Gianna Ella Chloe Layla Riley Zoey Nora Lily Eleanor Hazel Aurora Nova Penelope \
    Stella Willow Ivy Naomi Kate Jane Rose Clara Lucy Molly Ellie Freya Poppy Daisy Isla Evie Phoebe Harriet Imogen Alfie Harry Archie Freddie Theo Toby Finley Callum Ewan \
    Graham Nigel Trevor Simon Neil Stuart Ian Colin Derek Clive Barry Geoffrey Malcolm Rupert Carlos Luis Miguel Pedro Jorge Antonio Francisco Manuel Alejandro Diego Javier \
    Fernando Sergio Ricardo Eduardo Rafael Pablo Carmen Ana Lucia Elena Isabel Rosa Sofia Valentina Gabriela Pierre Jacques Michel Francois Philippe Claude Andre Sophie Camille \
    Celine Hans Klaus Jürgen Wolfgang Heinz Günter Stefan Andreas Matthias Sabine Ursula Petra Heike Giovanni Marco Giuseppe Luca Matteo Alessandro Francesca Giulia Chiara \
    Lars Erik Anders Bjorn Sven Olaf Ingrid Astrid Karin Ivan Dmitri Sergei Vladimir Mikhail Alexei Nikolai Olga Natasha Svetlana Tatiana Irina Anastasia Ekaterina Piotr Jan \
    Andrzej Krzysztof Tomasz Katarzyna Agnieszka Malgorzata Mohammed Muhammad Ahmed Ali Omar Hassan Fatima Aisha Ibrahim Yusuf Mustafa Abdul Khalid Layla Raj Amit Priya \
    Anil Sanjay Rahul Vijay Deepak Sunita Anita Ravi Arjun Ananya Hiroshi Takashi Kenji Yuki Akira Haruto Sakura Yoko Keiko Minh Nguyen Linh Wei Ming Hua Jing Xin Yan Yu Lei \
    Jun Hong Hui Mei Xiaoming Xiaohong Jie Qiang Lin Bo Feng Gang Tao Chen Zhang Wang Li Karl Max Felix Oscar Hugo Victor Martin Oskar \
    Nadia Vera Katja Monika Eva Magdalena Zuzana Jana Lukas Marek Pavel Tomas Petr Milan Zoran Goran Ivana Marija Ana Sandor Istvan Laszlo Zoltan Gabor Attila Ferenc \
    Wesley Clifford Stanley Norman Howard Leon Marvin Curtis Rodney Glenn Phillip Craig Allen Travis Melvin Jeff Mike Steve Dave Tom Bob Bill Jim Tim Dan Ben Sam Matt Chris Nick \
    Tony Greg Ken Ron Don Ray Fred Ted Kim Jill Jenny Sue Peggy Holly Erin Tina Tara Tracy Wendy Valerie Vanessa Veronica Yvonne Zoe Bella Carla Nina Rita Sonia Tamara";

/// Surnames common enough to support a capitalised word before them.
const SURNAMES: &str = "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson Thomas Taylor Moore Jackson Martin Lee Perez \
    Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell \
    Carter Roberts Gomez Phillips Evans Turner Diaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales Murphy Cook Rogers Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed \
    Kelly Howard Ramos Kim Cox Ward Richardson Watson Brooks Chavez Wood Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders Patel Myers Long Ross Foster Jimenez Hanson \
    Schmidt Müller Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Dubois Durand Moreau Rossi Russo Ferrari Bianchi Silva Santos Oliveira Pereira Costa Khan Singh Kumar \
    Sharma Gupta Shah Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo He Lin Gao Luo Tanaka Suzuki Sato Watanabe Yamamoto Kowalski Novak Horvath Nagy Jensen Nielsen";

/// Endings that make a capitalised word a surname.
const ENDINGS: &[&str] = &[
    "ski", "ska", "sky", "czyk", "wicz", "vich", "vić", "ić", "ov", "ova", "ev", "eva", "enko", "yan", "ian", "son",
    "sen", "sson", "dóttir", "dottir", "ez", "es", "berg", "stein", "mann", "man", "sdóttir", "ini", "elli", "etti",
    "aux", "eau", "nen", "lainen", "ák", "ová", "wski", "opoulos", "idis", "ishvili", "dze", "oğlu", "quist", "qvist",
    "ström", "strom", "lund", "gaard", "feld", "ard",
];

/// Capitalised words that begin sentences, name things, places, months or firms, and so do not begin a name.
const NOT_NAMES: &str = "The A An This That These Those It Its He She They We You I My Your His Her Our Their If When While Where What Who Why How Which Please Dear Hi Hello Thanks Thank \
    Regards Sincerely In On At By For From To Of And Or But Not No Yes As Is Are Was Were Be Been Do Does Did Can Could Will Would Shall Should May Might Must Has Have Had After Before \
    During Since Until Under Over Between With Without About Against All Any Some Each Every Both Either Neither Other Another Such Same More Most Less Least Many Much Few Several One Two \
    Three Four Five Six Seven Eight Nine Ten First Second Third Last Next New Old Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April June July August \
    September October November December Bank Street Road Avenue Company Corporation Inc Ltd LLC Group Limited Holdings University College School Hospital Department Ministry Office \
    Bureau Agency Committee Commission Council Court Act Law Article Section Chapter Regulation Rule Code Part Title Paragraph Appendix Schedule Exhibit Table Figure United States \
    Kingdom America American British English Chinese French German Italian Spanish Japanese Korean Indian Russian European Asia Europe Africa North South East West Northern Southern \
    Eastern Western Central National International Federal State City County Customer Client User Account Card Number Order Policy Insurance Credit Debit Loan Payment Transfer Service \
    Support Team Manager Director President Secretary Treasury Reserve Consumer Financial Protection Social Security Bot Agent Operator Assistant System Admin \
    Mr Mrs Ms Miss Dr Prof Sir Madam Lord Lady Also Answer Question Note Notice Warning Error Just Then There Here Now Today Tomorrow Yesterday Sometimes Let Need Want Wire Send Call \
    Change Check Remember Don Didn Doesn Isn Wasn Won Could Box Suite Apt Apartment Unit Floor PO Zip";

const AFTER_PERSON: &[&str] = &[
    " said",
    " says",
    " lives",
    " lived",
    " works",
    " worked",
    " is ",
    " was ",
    " has ",
    " had ",
    "'s ",
    "’s ",
    " and ",
    " wrote",
    " told",
    " asked",
    " called",
    " from ",
    " filed",
    " claims",
    " requested",
    " signed",
    " opened",
    " joined",
    " died",
    " born",
    " will ",
    ",",
    ".",
    ":",
    "?",
    "!",
    ")",
    ";",
    "\n",
];

/// Finds names written in Latin script.
pub(crate) struct LatinNames {
    run: Regex,
    told: Regex,
    told_lower: Regex,
    speaker: Regex,
    given: HashSet<&'static str>,
    surnames: HashSet<&'static str>,
    not_names: HashSet<&'static str>,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

const WORD: &str = r"(?:(?:O'|D'|Mc|Mac|al-|Al-)?\p{Lu}[\p{Ll}\p{M}]+(?:[-'’]\p{Lu}[\p{Ll}]+)?)";

impl LatinNames {
    pub(crate) fn new() -> Self {
        let particle = r"(?:(?:de|da|dos|del|della|di|van|von|der|den|bin|al|la|le|ter|ibn|y) ){0,2}";
        let name = format!(r"{WORD}(?: (?:\p{{Lu}}\.? )?{particle}{WORD}){{0,3}}");
        Self {
            run: regex(&format!(r"{WORD}(?: (?:\p{{Lu}}\.? )?{particle}{WORD}){{1,3}}")),
            told: regex(&format!(
                r"(?:(?i:my name is|my name's|name is|i am called|call me|calls me|this is|i'm|i am|named|signed,|sincerely,|regards,|dear|hi|hello|attn:?|beneficiary:?|customer:?|client:?|cardholder:?|holder:?|payee:?|applicant:?|complainant:?|patient:?|insured:?|employee:?|borrower:?|contact:?|name:?|recipient:?|my (?:kid|son|daughter|wife|husband|brother|sister|friend|mother|father|boss|colleague)|spoke (?:with|to)|ask for|user:)[ \n]{{1,2}}|(?-u:\b)(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir|Madam)\.? )({name})"
            )),
            told_lower: regex(
                r"(?i:my name is|my name's|everyone calls me|people call me) (\p{Ll}[\p{Ll}'-]+(?: \p{Ll}[\p{Ll}'-]+)?)",
            ),
            speaker: regex(&format!(r"(?m)^({WORD}):[ ]")),
            given: GIVEN.split_whitespace().collect(),
            surnames: SURNAMES.split_whitespace().collect(),
            not_names: NOT_NAMES.split_whitespace().collect(),
        }
    }

    /// Every Latin name of a folded text.
    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        if !text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            return;
        }
        for hit in self.run.find_iter(text).filter(|hit| stands_alone(text, hit.range())) {
            self.judge_run(text, hit.range(), found);
        }
        for name in self.told.captures_iter(text).filter_map(|hit| hit.get(1)) {
            let range = self.trim(text, name.range());
            let single = !text[range.clone()].contains(' ');
            let known = self.given.contains(&text[range.clone()]);
            if !range.is_empty() {
                found.push(Finding::new(EntityType::Person, range, if single && !known { 0.6 } else { 0.9 }));
            }
        }
        for name in self.told_lower.captures_iter(text).filter_map(|hit| hit.get(1)) {
            let words: Vec<&str> = name.as_str().split(' ').collect();
            let common = [
                "but", "and", "not", "the", "a", "an", "in", "on", "at", "is", "because", "when", "for", "if", "back",
                "to", "spelled", "spelt", "wrong",
            ];
            let keep = words.iter().take_while(|word| !common.contains(word)).map(|word| word.len() + 1).sum::<usize>();
            if keep > 2 {
                found.push(Finding::new(EntityType::Person, name.start()..name.start() + keep - 1, 0.7));
            }
        }
        for name in self.speaker.captures_iter(text).filter_map(|hit| hit.get(1)) {
            if !self.not_names.contains(name.as_str()) {
                let score = if self.given.contains(name.as_str()) { 0.8 } else { 0.4 };
                found.push(Finding::new(EntityType::Person, name.range(), score));
            }
        }
        self.addressed(text, found);
    }

    /// A given name alone, set off by commas or closing punctuation as when someone is spoken to.
    fn addressed(&self, text: &str, found: &mut Vec<Finding>) {
        let mut start = None;
        for (at, c) in text.char_indices().chain([(text.len(), '\n')]) {
            match (start, c.is_alphabetic()) {
                (None, true) if c.is_uppercase() => start = Some(at),
                (None, true) => start = Some(usize::MAX),
                (Some(from), false) => {
                    start = None;
                    if from != usize::MAX
                        && self.given.contains(&text[from..at])
                        && text[..from].ends_with(", ")
                        && matches!(c, '.' | '?' | '!' | ',')
                    {
                        found.push(Finding::new(EntityType::Person, from..at, 0.55));
                    }
                }
                _ => {}
            }
        }
    }

    /// The range without words at either end that no name has.
    fn trim(&self, text: &str, mut range: Range<usize>) -> Range<usize> {
        loop {
            let words = &text[range.clone()];
            let first = words.split(' ').next().unwrap_or_default();
            let last = words.rsplit(' ').next().unwrap_or_default();
            if first.is_empty() {
                return range.start..range.start;
            }
            if self.not_names.contains(first) && !(words.len() > first.len() && first == "Don") {
                range.start = (range.start + first.len() + 1).min(range.end);
            } else if self.not_names.contains(last) || last.len() <= 1 {
                range.end = (range.end - last.len()).saturating_sub(1).max(range.start);
            } else {
                return range;
            }
        }
    }

    fn judge_run(&self, text: &str, range: Range<usize>, found: &mut Vec<Finding>) {
        let range = self.trim(text, range);
        let words: Vec<&str> = text[range.clone()].split(' ').collect();
        if words.len() < 2 || words.iter().any(|word| self.not_names.contains(word)) {
            return;
        }
        let (first, last) = (words[0], words[words.len() - 1]);
        let initial = words.len() > 2
            && words[1..words.len() - 1].iter().any(|word| word.trim_end_matches('.').chars().count() == 1);
        let sentence_start = text[..range.start]
            .trim_end_matches(' ')
            .chars()
            .next_back()
            .is_none_or(|c| matches!(c, '.' | '!' | '?' | '\n' | '>'));
        let mut score: f32 = 0.15;
        score += if self.given.contains(first) { 0.5 } else { 0.0 };
        score += if self.surnames.contains(last) {
            0.25
        } else if ENDINGS.iter().any(|end| last.ends_with(end)) {
            0.2
        } else {
            0.0
        };
        score += if initial { 0.45 } else { 0.0 };
        score += if AFTER_PERSON.iter().any(|word| text[range.end..].starts_with(word)) || range.end == text.len() {
            0.1
        } else {
            0.0
        };
        score += if text[..range.start].ends_with("by ") { 0.2 } else { 0.0 };
        // A name on a line of its own, above more lines, is how letters and forms begin.
        let own_line = text[range.end..].starts_with('\n')
            && text[..range.start].trim_end_matches([' ', '>', '?']).chars().next_back().is_none_or(|c| c == '\n');
        score += if own_line && words.len() <= 4 { 0.3 } else { 0.0 };
        score -= if sentence_start && !own_line && !self.given.contains(first) { 0.05 } else { 0.0 };
        if score >= 0.3 {
            found.push(Finding::new(EntityType::Person, range, score));
        }
    }
}

fn stands_alone(text: &str, range: Range<usize>) -> bool {
    let joins = |c: Option<char>| {
        c.is_some_and(|c| {
            (c.is_alphanumeric() && !('\u{4E00}'..='\u{9FFF}').contains(&c)) || matches!(c, '_' | '@' | '/')
        })
    };
    !joins(text[..range.start].chars().next_back()) && !joins(text[range.end..].chars().next())
}
