//! The report as a picture: bars by group, as SVG written by hand.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: usize = 760;
/// Where bars begin; labels stand before it.
const LEFT: usize = 250;
/// The longest bar.
const BAR: usize = 400;
const ROW: usize = 20;
const SURFACE: &str = "#ffffff";
const INK: &str = "#1f2328";
const QUIET: &str = "#59636e";
const FILL: &str = "#3366aa";
const TRACK: &str = "#e4e9f0";

/// Bars of one unit on one scale.
struct Group {
    title: String,
    unit: &'static str,
    /// The end of the scale where it is a limit of the machine; else the longest bar is.
    limit: Option<f64>,
    bars: Vec<(String, f64)>,
}

/// Draws what the report has.
pub(super) fn draw(report: &Value) -> String {
    let groups = groups(report);
    let rows: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = 64 + rows * ROW + groups.len() * 48;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"{SURFACE}\"/>\n"
    );
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let head = [text(&report["model"]["name"]), text(&report["cpu"]), format!("{} threads", report["threads"])];
    let head: Vec<String> = head.into_iter().filter(|part| !part.is_empty()).collect();
    line(&mut svg, 16, 28, INK, " font-size=\"16\" font-weight=\"600\"", "lore bench");
    line(&mut svg, 16, 46, QUIET, "", &head.join(" · "));
    let mut y = 64;
    for group in &groups {
        line(&mut svg, 16, y + 24, INK, " font-weight=\"600\"", &group.title);
        y += 36;
        let longest = group.bars.iter().map(|bar| bar.1).fold(f64::MIN_POSITIVE, f64::max);
        let full = group.limit.unwrap_or(longest).max(longest);
        for (label, value) in &group.bars {
            line(&mut svg, LEFT - 10, y + 12, QUIET, " text-anchor=\"end\"", label);
            let length = (value / full * BAR as f64).clamp(1.0, BAR as f64);
            if group.limit.is_some() {
                bar(&mut svg, y, BAR as f64, TRACK);
            }
            bar(&mut svg, y, length, FILL);
            let share = group.limit.map(|limit| format!(" ({:.0} %)", 100.0 * value / limit)).unwrap_or_default();
            let number = if *value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") };
            let at = LEFT + 6 + if group.limit.is_some() { BAR } else { length as usize };
            line(&mut svg, at, y + 12, INK, "", &format!("{number} {}{share}", group.unit));
            y += ROW;
        }
        y += 12;
    }
    svg.push_str("</svg>\n");
    svg
}

fn groups(report: &Value) -> Vec<Group> {
    let mut groups = Vec::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let mut add = |title: &str, unit, limit, bars: Vec<(String, f64)>| {
        if !bars.is_empty() {
            groups.push(Group { title: title.to_owned(), unit, limit, bars });
        }
    };
    let model = &report["model"];
    let by = |of: &Value, key: &str, word: &str| -> Vec<(String, f64)> {
        list(of).iter().map(|one| (format!("{word} {}", one[key]), number(&one["tok_s"]))).collect()
    };
    add("Prefill by length of the prompt", "tok/s", None, by(&model["prefill"], "tokens", "tokens"));
    add("Decoding by depth", "tok/s", None, by(&model["decode"], "depth", "depth"));
    let limits = &report["kernels"]["roofline"];
    let products = |m: u64, key: &str| -> Vec<(String, f64)> {
        let all = list(&report["kernels"]["products"]);
        let some = all.iter().filter(|one| one["m"].as_u64() == Some(m));
        some.map(|p| (format!("{} {} × {}", p["format"].as_str().unwrap_or(""), p["rows"], p["cols"]), number(&p[key])))
            .collect()
    };
    let limit = |key: &str| limits[key].as_f64();
    add("Matrix products of one row, of the read bandwidth", "GB/s", limit("read_gb_s"), products(1, "gb_s"));
    add("Matrix products of 512 rows, of the int8 peak", "GOP/s", limit("int8_gop_s"), products(512, "gop_s"));
    let question = &report["question"];
    let first = [("cold", "cold"), ("prefix warm", "prefix_warm"), ("passages warm", "passages_warm")];
    let first =
        first.iter().filter_map(|(label, key)| Some(((*label).to_owned(), question[key]["first_text_ms"].as_f64()?)));
    add("From the passages to the first word", "ms", None, first.collect());
    let memory = &model["memory"];
    let memory: Vec<(String, f64)> =
        [("anonymous", "anonymous_mib"), ("mapped", "mapped_mib"), ("resident, peak", "resident_peak_mib")]
            .iter()
            .filter_map(|(label, key)| Some(((*label).to_owned(), memory[key].as_f64()?)))
            .collect();
    add("Memory", "MiB", None, memory);
    let rates = list(&report["sustained"]["tok_s_per_10_s"]);
    let rates = rates.iter().enumerate().map(|(i, rate)| (format!("{} s", 10 * (i + 1)), number(rate)));
    add("Decoding without a pause", "tok/s", None, rates.collect());
    groups
}

fn line(svg: &mut String, x: usize, y: usize, colour: &str, more: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\"{more}>{text}</text>");
}

fn bar(svg: &mut String, y: usize, length: f64, colour: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" rx=\"2\" fill=\"{colour}\"/>",
        y + 2,
        ROW - 6
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bars_end_where_the_limit_is_and_names_cannot_break_out() {
        let report = json!({
            "cpu": "a <b> & c", "threads": 2, "model": {"name": "m", "decode": [{"depth": 0, "tok_s": 50.0}]},
            "kernels": {"roofline": {"read_gb_s": 20.0}, "products": [
                {"m": 1, "format": "q8_0", "rows": 32, "cols": 64, "gb_s": 10.0},
                {"m": 1, "format": "q4_0", "rows": 32, "cols": 64, "gb_s": 30.0},
            ]},
        });
        let svg = draw(&report);
        assert!(svg.contains("a &lt;b&gt; &amp; c"));
        assert!(svg.contains("30 GB/s (150 %)") && svg.contains("10 GB/s (50 %)"));
        let widths = svg
            .match_indices("<rect x=")
            .filter_map(|(at, _)| svg[at..].split("width=\"").nth(1)?.split('"').next()?.parse::<f64>().ok());
        assert!(widths.into_iter().all(|w| w <= BAR as f64));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(draw(&json!({})).ends_with("</svg>\n"));
    }
}
