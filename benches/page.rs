//! Pages of results: what ran where, numbers in tables, bars in pictures.
//!
//! In: samples. Out: Markdown and SVG, as text. Knows nothing of what was measured.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// The middle of some numbers; NaN of none.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    quantile(numbers, 0.5)
}

/// The number below which such a share of them lies; NaN of none.
pub fn quantile(numbers: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut all: Vec<f64> = numbers.into_iter().collect();
    all.sort_by(f64::total_cmp);
    let last = all.len().saturating_sub(1) as f64;
    let at = last * share;
    let pair = all.get(at.floor() as usize).zip(all.get(at.ceil() as usize));
    pair.map_or(f64::NAN, |(low, high)| low + (high - low) * at.fract())
}

/// The machine, in a line: processor, cores, system.
pub fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let models = || cpuinfo.lines().filter(|line| line.starts_with("model name"));
    let model = models().next().and_then(|line| line.split_once(": ")).map_or("unknown processor", |(_, model)| model);
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = read("/proc/meminfo").split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
    format!("{model}, {} cores, {} GiB, Linux {}", models().count(), memory >> 20, kernel.trim())
}

/// How many programs wanted a core during the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// What a command prints first, on either of its outputs; it says its version so.
pub fn first_line(command: &mut Command) -> String {
    let Ok(output) = command.output() else { return "not found".into() };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// A bar: its name, how long it is, and from where to where the samples lie.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What it stands for.
    pub name: String,
    /// Its length.
    pub middle: f64,
    /// The least sample.
    pub least: f64,
    /// The greatest sample.
    pub greatest: f64,
}

impl Bar {
    /// The bar of some samples.
    pub fn of(name: impl Into<String>, samples: &[f64]) -> Self {
        let [least, middle, greatest] = [0.0, 0.5, 1.0].map(|share| quantile(samples.iter().copied(), share));
        Self { name: name.into(), middle, least, greatest }
    }
}

/// Charts one below the other, each with a title, its bars, and a thin line from least to greatest sample.
pub fn charts(charts: &[(String, Vec<Bar>)]) -> String {
    let rows: usize = charts.iter().map(|(_, bars)| bars.len() + 2).sum();
    let height = rows * ROW + ROW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let mut y = ROW;
    for (title, bars) in charts {
        // Writing to a string cannot fail.
        let _ = writeln!(svg, "<text x=\"8\" y=\"{y}\" font-weight=\"bold\">{}</text>", escaped(title));
        y += ROW / 2;
        let longest = bars.iter().map(|bar| bar.greatest).filter(|x| x.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
        let x = |value: f64| LEFT + (if value.is_finite() { value } else { 0.0 }) / longest * (WIDTH - LEFT - RIGHT);
        for Bar { name, middle, least, greatest } in bars {
            let colour = if name.starts_with("gateway") { "#2a6fb0" } else { "#9aa5b1" };
            let (line, text) = (y + ROW / 2, y + ROW / 2 + 4);
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{line}\" y2=\"{line}\" stroke=\"#222\"/>\
                 <text x=\"{:.1}\" y=\"{text}\">{}</text>",
                LEFT - 8.0,
                escaped(name),
                y + 3,
                x(*middle) - LEFT,
                ROW - 6,
                x(*least),
                x(*greatest),
                x(*greatest) + 6.0,
                short(*middle),
            );
            y += ROW;
        }
        y += ROW + ROW / 2;
    }
    svg + "</svg>\n"
}

/// A number with about three digits.
pub fn short(number: f64) -> String {
    match number.abs() {
        _ if !number.is_finite() => "–".into(),
        x if x >= 100.0 => format!("{number:.0}"),
        x if x >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 70.0;
const ROW: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([1.0, 2.0]), 1.5);
        assert_eq!(quantile([1.0, 2.0, 3.0], 1.0), 3.0);
        assert!(median([]).is_nan());
    }

    #[test]
    fn what_cannot_be_measured_draws_no_bar() {
        let svg = charts(&[("a < b".into(), vec![Bar::of("x", &[])])]);
        assert!(svg.contains("a &lt; b") && svg.contains("width=\"0.0\"") && !svg.contains("NaN"), "{svg}");
    }
}
