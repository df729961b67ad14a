//! Answer formats and their wording in Chinese and English.

use lorekit_store::Passage;

use crate::citation::is_han;

/// The shape of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerFormat {
    /// First the basis, a label and a word-for-word quote of one passage, then a short explanation:
    /// `【政策依据】…【简明解释】…`, in English `[Basis] … [Explanation] …`.
    /// The label can only be one of the passages', the quote only whole sentences of that passage.
    #[default]
    Basis,
    /// Free text; citations are found afterwards where the text repeats a passage word for word.
    Free,
}

/// The language of the fixed parts; the language of the question decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Chinese,
    English,
}

impl Language {
    /// Chinese as soon as the question has a Han character.
    pub(crate) fn of(question: &str) -> Self {
        if question.chars().any(is_han) { Self::Chinese } else { Self::English }
    }
}

/// Every fixed text of a format in one language.
pub(crate) struct Wording {
    pub(crate) system: &'static str,
    pub(crate) passages: &'static str,
    pub(crate) question: &'static str,
    pub(crate) shortened: &'static str,
    pub(crate) basis: &'static str,
    pub(crate) open_quote: &'static str,
    pub(crate) close_quote: &'static str,
    pub(crate) explanation: &'static str,
    pub(crate) decline: &'static str,
}

const BASIS_ZH: Wording = Wording {
    system: "你是资料问答助手。只依据给出的资料作答，不补充资料以外的内容。语气克制、准确，不寒暄。\n\
             回答分两段：\n\
             【政策依据】写明出处，逐字引用直接回答问题的原句。\n\
             【简明解释】用一至三句话直接回答问题，数字与引文一致。",
    passages: "资料：",
    question: "问题：",
    shortened: "（以下从略）",
    basis: "【政策依据】",
    open_quote: "：“",
    close_quote: "”",
    explanation: "\n【简明解释】",
    decline: "资料中没有找到相关规定。",
};

const BASIS_EN: Wording = Wording {
    system: "You answer questions from the given sources only and add nothing that is not in them. Be precise and plain; no greetings.\n\
             Answer in two parts:\n\
             [Basis] name the source and quote, word for word, the sentence that answers the question.\n\
             [Explanation] answer the question in one to three sentences; keep numbers as in the quote.",
    passages: "Sources:",
    question: "Question: ",
    shortened: "(shortened)",
    basis: "[Basis] ",
    open_quote: ": “",
    close_quote: "”",
    explanation: "\n[Explanation] ",
    decline: "The sources do not answer this question.",
};

const FREE_ZH: Wording = Wording {
    system: "你是资料问答助手。只依据给出的资料作答，不补充资料以外的内容，尽量引用原句。语气克制、准确，不寒暄。\n\
             资料没有回答问题时，只写：资料中没有找到相关规定。",
    ..BASIS_ZH
};

const FREE_EN: Wording = Wording {
    system: "You answer questions from the given sources only and add nothing that is not in them; quote their sentences where you can. \
             Be precise and plain; no greetings.\n\
             If the sources do not answer the question, write only: The sources do not answer this question.",
    ..BASIS_EN
};

impl AnswerFormat {
    pub(crate) fn wording(self, language: Language) -> &'static Wording {
        match (self, language) {
            (Self::Basis, Language::Chinese) => &BASIS_ZH,
            (Self::Basis, Language::English) => &BASIS_EN,
            (Self::Free, Language::Chinese) => &FREE_ZH,
            (Self::Free, Language::English) => &FREE_EN,
        }
    }
}

/// How a passage is named in prompt and answer: `《存款规则》第五条`, `Card Terms, Article 5`.
pub(crate) fn label(passage: &Passage, language: Language) -> String {
    let title = passage.document.title.trim();
    // Without an article the innermost heading says where, unless it only repeats the title.
    let heading = passage.title_path.last().map(|h| h.trim()).filter(|h| !h.is_empty() && *h != title);
    let place = passage.article.as_deref().map(str::trim).filter(|a| !a.is_empty()).or(heading);
    match (language, place) {
        (Language::Chinese, Some(place)) => format!("《{title}》{place}"),
        (Language::Chinese, None) => format!("《{title}》"),
        (Language::English, Some(place)) => format!("{title}, {place}"),
        (Language::English, None) => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_han_character_makes_a_question_chinese() {
        assert_eq!(Language::of("ETF 的费率?"), Language::Chinese);
        assert_eq!(Language::of("What is the fee?"), Language::English);
    }

    #[test]
    fn a_system_text_states_the_parts_and_the_decline_that_are_recognised() {
        for wording in [&FREE_ZH, &FREE_EN] {
            assert!(wording.system.ends_with(wording.decline));
        }
        for wording in [&BASIS_ZH, &BASIS_EN] {
            assert!(wording.system.contains(wording.basis.trim()));
            assert!(wording.system.contains(wording.explanation.trim()));
        }
    }
}
