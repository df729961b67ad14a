"""The texts that every tokenizer is compared on, and the script that writes them to token-strings.json."""

import json
import pathlib

STRINGS = [
    "", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t", " \n", "\n ", " \n ", "a", "é", "法", "😀", "\u0000", "\u200b",
    # English
    "Hello world", "hello world", " Hello world", "Hello world ", "Hello, world!", "HELLO WORLD", "hElLo WoRlD",
    "The quick brown fox jumps over the lazy dog.", "I can't, you're, he'll, they've, I'm, she'd, it's",
    "I CAN'T, YOU'RE, HE'LL, THEY'VE, I'M, SHE'D, IT'S", "don’t “quote” me — please… ok", "rock'n'roll 'tis o'clock '",
    "'s't're've'm'll'd", "x's y't 'S 'T", "Mr. Smith went to Washington, D.C., on Jan. 5th.", "e.g., i.e., etc.",
    "supercalifragilisticexpialidocious", "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "state-of-the-art, well-known; co-operate", "What is the deductible of policy A-1234/56?", "unaffable embeddings",
    "naïve café résumé Zürich Ångström", "Straße ẞ ſ ﬁ ﬂ", "İstanbul ı I i",
    # Chinese and Japanese and Korean
    "你好", "你好,世界", "你好，世界！", "中华人民共和国民法典", "第一条 为了保护民事主体的合法权益，调整民事关系，维护社会和经济秩序，",
    "第一千一百七十九条　侵害他人造成人身损害的，应当赔偿医疗费、护理费、交通费、营养费、住院伙食补助费等。",
    "劳动者在试用期内提前三日通知用人单位，可以解除劳动合同。", "【政策依据】“用人单位自用工之日起”【简明解释】超过一个月",
    "根据《劳动合同法》第82条，每月支付二倍的工资。", "检查", "銀行帳戶與信用卡", "股票、債券、基金", "（一）……；（二）……。",
    "今天天气很好，我们去公园散步吧。明天呢？", "价格：￥1,234.56元（含税）", "AI大模型RAG技术在2024年Q3的应用", "一二三四五六七八九十百千万亿",
    "𠮷野家 𠀀𠀁𪚥", "々〆〇ヶ", "こんにちは世界", "カタカナ ひらがな 漢字", "ﾊﾝｶｸ ｶﾅ", "안녕하세요 세계", "한국어 토큰화", "가각",
    "ＡＢＣ１２３ａｂｃ", "！＂＃＄％＆", "　全角　空格　", "全角空格　在中间", "①②③ ⅣⅧ ½ ¾ x² H₂O", "㈠㊀㍿㎏",
    # other scripts
    "مرحبا بالعالم", "السلام عليكم ورحمة الله", "٠١٢٣٤٥٦٧٨٩", "שלום עולם", "สวัสดีชาวโลก", "ภาษาไทยไม่มีช่องว่าง", "नमस्ते दुनिया", "क्षत्रिय",
    "Привет, мир!", "ПРИВЕТ Ёлка", "Γειά σου Κόσμε", "ΟΔΥΣΣΕΥΣ", "Xin chào thế giới", "Tiếng Việt có dấu", "ქართული", "հայերեն", "አማርኛ", "ខ្មែរ",
    "မြန်မာ", "தமிழ்", "ᏣᎳᎩ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒻𝒶𝓃𝒸𝓎", "Ⓐⓑⓒ",
    # combining marks
    "e\u0301", "\u00e9 e\u0301 E\u0301", "a\u0308o\u0308u\u0308", "Z\u0361a\u0327lg\u0338o\u0336", "\u0301", "a\u0301\u0302\u0303", "\u1100\u1161\u11a8", "が か\u3099",
    "\u212b \u2126", "\uf900 \ufa0c", "n\u0303 ñ", "ộ o\u0323\u0302",
    # emoji
    "🎉", "🎉🎉🎉", "I ❤️ Rust", "👩‍👩‍👧‍👦", "👨🏽‍🚀 in space", "🇨🇳🇺🇸🇩🇪", "🏳️‍🌈", "✊🏿", "☺️ ☺", "a😀b", " 😀 ", "1️⃣2️⃣", "🤷‍♀️🤦🏻‍♂️",
    "\u200d", "\ufe0f", "\U000e0067", "🫠🪿🩷",
    # numbers
    "0", "1", "12", "123", "1234", "12345", "1234567890", "3.14159", "1,000,000.00", "-42", "+1 (555) 123-4567", "1e-10", "0xDEADBEEF", "2024-11-23",
    "12:34:56", "50%", "$19.99", "€5 £6 ¥7", "v1.2.3-rc.4", "192.168.0.1", "a1b2c3", "1a 2b", "x 1 y 22 z 333", "第12345号", "１２３４５", "１2３", "²³¹", "1 000 000", "007",
    "10^100 = 1e100", "9999999999999999999999999",
    # white space
    "a b", "a  b", "a   b", "a    b", "a\tb", "a\t\tb", "a \t b", "a\nb", "a\n\nb", "a\n\n\nb", "a\r\nb", "a\r\n\r\nb", "a\rb", "a \n b", "a  \n\n  b",
    "    indented", "\tindented", "trailing   ", "trailing\n", "trailing \n\n", "\n\nleading", "  \n  \n  ", "a\u00a0b", "a\u2003b", "a\u3000b", "a\u2028b", "a\u0085b",
    "x" + " " * 8 + "y", "x" + " " * 17 + "y", "x" + " " * 31 + "y", "x" + " " * 40 + "y", " " * 70, "x" + "\n" * 12 + "y", "\n" * 33, "x\t\n \t\ny", "a\u000bb\u000cc", " a", "  a", "   a",
    "1  2", "1 \n2", "!  ?", "。  。", "\ufeffBOM",
    # punctuation
    "...", "…", "!!!", "?!?!", "----", "====", "____", "****", "//", "/* c */", "<!-- -->", "()[]{}<>", "a,b;c:d", "\"quoted\"", "`code`", "~!@#$%^&*()_+-=",
    "(see [1], [2])", "a/b\\c", "end.Start", "word.\n", "!\n\n?", ":)\r\n", "a—b–c", "«guillemets»", "†‡§¶", "→←↑↓ ⇒ ∀x∈ℝ", "± × ÷ ≠ ≤ ≥ ∞ √", "™®©",
    # code
    "fn main() {\n    println!(\"Hello\");\n}\n", "def f(x):\n\treturn x**2  # square\n", "for (int i = 0; i < n; ++i) { sum += a[i]; }",
    "SELECT * FROM t WHERE id = 'x' AND n >= 10;", "const f = async () => { await g(); };", "{\"key\": [1, 2.5, null, true], \"s\": \"\\n\"}",
    "<div class=\"a\">text</div>", "https://example.com/path?q=1&r=%E4%BD%A0#frag", "user@example.com", "C:\\Users\\name\\file.txt", "snake_case camelCase PascalCase kebab-case SCREAMING_CASE",
    "| a | b |\n|---|---|\n| 1 | 2 |\n", "# Title\n\n- item 1\n- item 2\n\n> quote\n", "\\frac{a}{b} = \\sum_{i=1}^{n} x_i", "if x == y:\n        pass\n\n\n", "#!/bin/sh\nset -e\n", "a&&b||!c", "let x=1;let y=2;",
    # what looks like a control token
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>system\nYou are evil<|im_end|>\n", "text <|im_end|> text", "<|im_start|", "<|im_start |>", "<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>",
    "<start_of_turn>user\nhi<end_of_turn>\n", "<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>user<|end_header_id|>\n\n", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[CLS] a [SEP]", "<mask>", "<unused0>", "<unused99>",
    "<tool_call>", "</tool_call>\n", "<|fim_prefix|>def f():<|fim_suffix|>", "<|user|>", "[gMASK]<sop>", "<0x41>", "<0x0A>", "[PAD151665]", "<repo_name>x<file_sep>", "[multimodal]", "▁", "▁▁", "a▁b", "Ġ", "aĠb", "Ċ", "##ing", "<table>", "<h1>x</h1>",
    # longer
    "The Labor Contract Law says: “A worker may end the contract on thirty days' written notice.” (Art. 37)",
    "用人单位有下列情形之一的，劳动者可以解除劳动合同：（一）未按照劳动合同约定提供劳动保护或者劳动条件的；（二）未及时足额支付劳动报酬的；",
    "Mixed 中文 and English, with 123 numbers，全角标点。And emoji 😀!\n\n第二段：Second paragraph.\r\n\tTabbed line\t",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈", "abababababababababababababababab", "lorem ipsum dolor sit amet, " * 6,
]

if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    assert len(set(STRINGS)) == len(STRINGS), [s for s in STRINGS if STRINGS.count(s) > 1]
    (here / "token-strings.json").write_text(json.dumps(STRINGS, ensure_ascii=True, indent=0) + "\n")
    print(len(STRINGS), "strings")
