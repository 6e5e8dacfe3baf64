//! The table `coverage.md` is true: what it names exists, nothing is forgotten, and its summary is what its rows say.
//!
//! In: the table, and the sources of the tests that it names. Out: the counts, printed. It runs none of them; `cargo test` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where a room's tests are, and who decides there.
const ROOMS: [(&str, &str, Decider); 7] = [
    ("core", "gateway-core/tests/core", Decider::Core),
    ("proxy", "gateway-pingora/tests/gateway", Decider::Wire),
    ("program", "gateway-bin/tests/program", Decider::Wire),
    ("outside", "conformance/tests", Decider::Wire),
    ("interop", "conformance/interop", Decider::Wire),
    ("controller", "gateway-bin/src", Decider::Cluster),
    ("cases", "conformance/src/cases", Decider::Cluster),
];

const PROFILES: [&str; 5] = ["HTTP", "GRPC", "TLS", "TCP", "UDP"];

/// What can decide a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Decider {
    Core,
    Wire,
    Cluster,
}

/// The three tables, as they follow each other.
struct Coverage {
    upstream: Vec<Row>,
    items: Vec<Row>,
    decisions: Vec<Row>,
}

struct Row {
    /// The name of an upstream test, or a number.
    name: String,
    features: Vec<String>,
    profiles: Vec<(&'static str, bool)>,
    decided: BTreeSet<Decider>,
    tests: Vec<Test>,
    /// Where nothing decides yet, and what is missing.
    missing: BTreeMap<Decider, String>,
}

struct Test {
    decider: Decider,
    file: PathBuf,
    function: String,
    written: String,
}

#[test]
fn every_row_names_tests_that_exist_or_says_what_is_missing() {
    let mut functions = BTreeMap::new();
    for row in coverage().rows() {
        for test in &row.tests {
            let found = functions.entry(test.file.clone()).or_insert_with(|| tests_of(&test.file));
            let count = found.iter().filter(|function| **function == test.function).count();
            assert_eq!(count, 1, "row {}: {} is there {count} times", row.name, test.written);
        }
        for decider in &row.decided {
            let is_tested = row.tests.iter().any(|test| test.decider == *decider);
            let is_missing = row.missing.contains_key(decider);
            assert!(is_tested || is_missing, "row {}: nothing of {decider:?}, and it does not say why", row.name);
        }
        let told = row.tests.iter().map(|test| test.decider).chain(row.missing.keys().copied()).collect::<BTreeSet<_>>();
        assert!(told.is_subset(&row.decided), "row {}: it is decided by {:?}, and shows {told:?}", row.name, row.decided);
        let distinct: BTreeSet<&str> = row.tests.iter().map(|test| test.written.as_str()).collect();
        assert_eq!(distinct.len(), row.tests.len(), "row {}: a test is there twice", row.name);
    }
}

#[test]
fn every_upstream_test_that_values_decide_has_one_of_its_name() {
    for row in coverage().upstream.iter().filter(|row| row.decided.contains(&Decider::Core)) {
        let name = row.name.to_lowercase();
        let is_named = row.tests.iter().any(|test| test.function.replace('_', "").starts_with(&name));
        assert!(is_named, "{} has no test of that name", row.name);
    }
}

#[test]
fn what_values_decide_is_decided() {
    for row in coverage().rows() {
        assert!(!row.missing.contains_key(&Decider::Core), "row {}: values decide it", row.name);
    }
}

#[test]
fn no_row_is_forgotten_and_each_stands_at_its_place() {
    let coverage = coverage();
    assert_eq!((coverage.upstream.len(), coverage.items.len(), coverage.decisions.len()), (147, 68, 29));
    let names: Vec<String> = coverage.upstream.iter().map(|row| row.name.to_lowercase()).collect();
    for pair in names.windows(2) {
        assert!(pair[0] < pair[1], "{} before {}", pair[0], pair[1]);
    }
    for list in [&coverage.items, &coverage.decisions] {
        for (number, row) in (1..).zip(list) {
            assert_eq!(row.name, number.to_string());
        }
    }
    // How many tests each profile of the suite has, at v1.7.0: core and extended.
    let expected = [("HTTP", 40, 64), ("GRPC", 17, 13), ("TLS", 21, 18), ("TCP", 20, 11), ("UDP", 21, 11)];
    for (profile, core, extended) in expected {
        let of = |is_core: bool| coverage.upstream.iter().filter(|row| row.profiles.contains(&(profile, is_core))).count();
        assert_eq!((of(true), of(false)), (core, extended), "{profile}");
    }
}

#[test]
fn the_summary_says_what_the_rows_say() {
    let coverage = coverage();
    println!("{}", by_feature(&coverage.upstream));
    let summary = summary(&coverage);
    let text = fs::read_to_string(table()).expect("the table");
    let written = text.split_once("<!-- summary -->\n").and_then(|(_, rest)| rest.split_once("<!-- end of summary -->"));
    let (written, _) = written.expect("a summary between its marks");
    assert_eq!(written.trim(), summary.trim(), "the summary in coverage.md should be:\n\n{summary}");
}

/// Tests, and rows of which a part or all is missing.
#[derive(Default)]
struct Count {
    all: usize,
    tested: usize,
    partly: usize,
}

impl Count {
    fn of<'r>(rows: impl Iterator<Item = &'r Row>) -> Self {
        let mut count = Self::default();
        for row in rows {
            count.all += 1;
            match (row.tests.is_empty(), row.missing.is_empty()) {
                (false, true) => count.tested += 1,
                (false, false) => count.partly += 1,
                (true, _) => {}
            }
        }
        count
    }

    fn line(&self, name: &str) -> String {
        let none = self.all - self.tested - self.partly;
        format!("| {name} | {} | {} | {} | {none} |", self.all, self.tested, self.partly)
    }
}

/// The counts as a table, and what is missing by reason.
fn summary(coverage: &Coverage) -> String {
    let mut lines = vec!["| | Rows | Tested | Tested in part | Not yet |".to_owned(), "|---|---|---|---|---|".to_owned()];
    lines.push(Count::of(coverage.upstream.iter()).line("Upstream tests"));
    for profile in PROFILES {
        for (is_core, kind) in [(true, "core"), (false, "extended")] {
            let rows = coverage.upstream.iter().filter(|row| row.profiles.contains(&(profile, is_core)));
            lines.push(Count::of(rows).line(&format!("of profile {profile}, {kind}")));
        }
    }
    lines.push(Count::of(coverage.items.iter()).line("Where the suite does not look"));
    lines.push(Count::of(coverage.decisions.iter()).line("Decisions"));
    let mut reasons: BTreeMap<(Decider, &str), usize> = BTreeMap::new();
    for (decider, reason) in coverage.rows().flat_map(|row| &row.missing) {
        *reasons.entry((*decider, reason)).or_default() += 1;
    }
    let text = lines.join("\n") + "\n\n";
    if reasons.is_empty() {
        return text + "No row says that anything is missing.\n";
    }
    let mut text = text + "What is missing, and in how many rows:\n\n";
    for ((decider, reason), count) in reasons {
        text += &format!("- {count} × {}: {reason}\n", format!("{decider:?}").to_lowercase());
    }
    text
}

fn by_feature(upstream: &[Row]) -> String {
    let features: BTreeSet<&str> = upstream.iter().flat_map(|row| &row.features).map(String::as_str).collect();
    let mut text = "| Feature | Rows | Tested | Tested in part | Not yet |\n|---|---|---|---|---|\n".to_owned();
    for feature in features {
        let rows = upstream.iter().filter(|row| row.features.iter().any(|found| found == feature));
        text += &(Count::of(rows).line(feature) + "\n");
    }
    text
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn table() -> PathBuf {
    root().join("conformance/coverage.md")
}

impl Coverage {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.upstream.iter().chain(&self.items).chain(&self.decisions)
    }
}

fn coverage() -> Coverage {
    let text = fs::read_to_string(table()).expect("the table");
    let mut sections = text.split("\n## ").skip(1);
    let mut rows = |title: &str| -> Vec<Row> {
        let section = sections.next().expect("three sections");
        assert!(section.starts_with(title), "{title} comes here");
        let lines = section.lines().filter(|line| line.starts_with('|'));
        lines.skip(2).map(row).collect()
    };
    let (upstream, items) = (rows("Upstream tests"), rows("Where the upstream suite does not look"));
    let decisions = rows("Decisions where the sources contradict");
    Coverage { upstream, items, decisions }
}

/// `| name | features | profile | decided | tests |`, or `| number | words | decided | tests |`.
fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let (features, profile, rest) = match cells.as_slice() {
        [_, features, profile, rest @ ..] if rest.len() == 2 => (*features, *profile, rest),
        [_, words, rest @ ..] if rest.len() == 2 => {
            assert!(!words.is_empty(), "{line}");
            ("–", "–", rest)
        }
        _ => panic!("four or five cells: {line}"),
    };
    let mut row = Row {
        name: cells[0].to_owned(),
        features: features.split(", ").filter(|feature| *feature != "–").map(str::to_owned).collect(),
        profiles: profiles(profile),
        decided: rest[0].split(", ").map(decider).collect(),
        tests: Vec::new(),
        missing: BTreeMap::new(),
    };
    for entry in rest[1].split("<br>") {
        if let Some(missing) = entry.strip_prefix("not yet (") {
            let (who, why) = missing.split_once("): ").unwrap_or_else(|| panic!("what is missing? {line}"));
            assert!(!why.is_empty(), "{line}");
            row.missing.insert(decider(who), why.to_owned());
        } else {
            row.tests.push(test(entry.trim_matches('`')));
        }
    }
    row
}

/// Profiles, and whether the test is one of their core.
fn profiles(cell: &str) -> Vec<(&'static str, bool)> {
    if cell == "–" {
        return Vec::new();
    }
    let (whose, kind) = cell.split_once(' ').unwrap_or_else(|| panic!("a profile: {cell}"));
    let is_core = match kind {
        "core" => true,
        "ext" => false,
        _ => panic!("core or ext: {cell}"),
    };
    let of = PROFILES.into_iter().filter(|profile| whose == "all" || whose == *profile);
    let found: Vec<_> = of.map(|profile| (profile, is_core)).collect();
    assert!(!found.is_empty(), "a profile: {cell}");
    found
}

fn decider(word: &str) -> Decider {
    match word {
        "core" => Decider::Core,
        "wire" => Decider::Wire,
        "cluster" => Decider::Cluster,
        _ => panic!("{word} decides nothing"),
    }
}

fn test(written: &str) -> Test {
    let (path, function) = written.split_once("::").unwrap_or_else(|| panic!("file::function: {written}"));
    let (room, file) = path.split_once('/').unwrap_or_else(|| panic!("room/file: {written}"));
    let found = ROOMS.into_iter().find(|(name, ..)| *name == room);
    let (_, folder, decider) = found.unwrap_or_else(|| panic!("no room is called {room}: {written}"));
    // There the program runs as controller and proxies, beside an API server.
    let decider = if path == "program/cluster.rs" { Decider::Cluster } else { decider };
    Test { decider, file: root().join(folder).join(file), function: function.to_owned(), written: written.to_owned() }
}

/// The functions below `#[test]`, whatever other attributes and comments stand between; the cases, which a program judges in a
/// cluster; and those of pytest.
fn tests_of(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut functions = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some((name, _)) =
            line.strip_prefix("pub(super) fn ").and_then(|line| line.split_once("(scene: &Scene) -> Result<String>"))
        {
            functions.push(name.to_owned());
        } else if let Some(name) = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ") {
            functions.extend(name.split('(').next().filter(|name| name.starts_with("test_")).map(str::to_owned));
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ") {
            if is_test {
                functions.push(name.split(['(', '<']).next().unwrap_or_default().to_owned());
            }
            is_test = false;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            is_test = false;
        }
    }
    functions
}
