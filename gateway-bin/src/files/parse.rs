//! A file's text as JSON values, each with the place it came from.
//!
//! In: YAML or JSON text. Out: one `Parsed` per object, in order, `List`s unpacked; a document that cannot be read becomes a `Syntax`
//! with its exact line and column and harms no other. Knows nothing of what an object means.
//!
//! Invariants: aliases expand within the parser's budget; nothing here recurses deeper than the text nests, which is bounded too.

use serde_json::Value;
use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::{Event, Parser};

use super::split::{Document, split};

/// One object of a text, or a document that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed<'a> {
    /// The document.
    pub(crate) document: Document<'a>,
    /// Where the object stands inside the document: empty, or the way into a `List`, such as `items[2]`.
    pub(crate) within: String,
    /// The object.
    pub(crate) value: Result<Value, Syntax>,
}

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) reason: String,
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
}

/// Reads all objects of a text.
pub(crate) fn parse(text: &str, format: Format) -> Vec<Parsed<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut all = Vec::new();
    match format {
        Format::Json => json_stream(text, &mut all),
        Format::Yaml => {
            for document in split(text) {
                match yaml(document) {
                    Ok(value) => unpack(document, String::new(), value, &mut all),
                    Err(syntax) => all.push(Parsed { document, within: String::new(), value: Err(syntax) }),
                }
            }
        }
    }
    all
}

/// The line and column of a field such as `spec.rules[0].name`, or of the nearest field around it that is there.
pub(crate) fn locate(document: Document<'_>, path: &str) -> (usize, usize) {
    let found = find(document.text, &steps(path)).unwrap_or((document.line - document.begin + 1, 1));
    (document.begin + found.0 - 1, found.1)
}

fn json_stream<'a>(text: &'a str, all: &mut Vec<Parsed<'a>>) {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let rest = &text[values.byte_offset()..];
        let start = text.len() - rest.trim_start().len();
        let line = text[..start].matches('\n').count() + 1;
        let document = |end: usize| Document { begin: line, line, text: &text[start..end.max(start)] };
        match values.next() {
            None => return,
            Some(Ok(value)) => unpack(document(values.byte_offset()), String::new(), value, all),
            Some(Err(err)) => {
                let value = Err(Syntax { line: err.line(), column: err.column(), reason: json_reason(&err) });
                all.push(Parsed { document: document(text.len()), within: String::new(), value });
                return;
            }
        }
    }
}

/// The parser's words without the place, which is told apart.
fn json_reason(err: &serde_json::Error) -> String {
    let text = err.to_string();
    let place = format!(" at line {} column {}", err.line(), err.column());
    format!("not JSON: {}", text.strip_suffix(&place).unwrap_or(&text))
}

fn yaml(document: Document<'_>) -> Result<Value, Syntax> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // A List of all of a large cluster's routes is one document. Aliases keep their own, lower limits.
        budget: serde_saphyr::budget! { max_events: 20_000_000, max_nodes: 10_000_000 },
    };
    serde_saphyr::from_str_with_options(document.text, options).map_err(|err| {
        let (line, column) =
            err.location().map_or((document.line - document.begin + 1, 1), |at| (at.line() as usize, at.column() as usize));
        let reason = yaml_reason(&err);
        Syntax { line: document.begin + line.max(1) - 1, column: column.max(1), reason: format!("not YAML: {reason}") }
    })
}

/// The parser's words, without what only a programmer could do about it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the parser's own words serve for all others, those to come included")]
fn yaml_reason(err: &Error) -> String {
    match err.without_snippet() {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key {key} stands twice in one mapping"),
        Error::DuplicateMappingKey { key: None, .. } => "a key stands twice in one mapping".to_owned(),
        Error::AliasError { error, .. } => yaml_reason(error),
        Error::Budget { breach, .. } => too_much(breach).to_owned(),
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => TOO_MANY_ALIASES.to_owned(),
        err => {
            // The parser ends its words with the place inside the document; ours is the one inside the file.
            let text = err.to_string();
            let reason = text.split(" at line ").next().unwrap_or(&text).trim_end_matches([',', ':']);
            reason.lines().next().unwrap_or_default().to_owned()
        }
    }
}

const TOO_MANY_ALIASES: &str = "its anchors and aliases stand for more than is read";

/// What there is too much of.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others, those to come included, are of size")]
fn too_much(breach: &BudgetBreach) -> &'static str {
    match breach {
        BudgetBreach::Depth { .. } => "it is nested more deeply than is read",
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::MergeKeys { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => TOO_MANY_ALIASES,
        _ => "it is larger than is read",
    }
}

/// Takes a `List` apart; any kind that ends in `List` and holds `items` is one.
fn unpack<'a>(document: Document<'a>, within: String, mut value: Value, all: &mut Vec<Parsed<'a>>) {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some(item_kind) = kind.strip_suffix("List").map(str::to_owned) else {
        return all.push(Parsed { document, within, value: Ok(value) });
    };
    let Some(items) = value.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take) else {
        return all.push(Parsed { document, within, value: Ok(value) });
    };
    let version = value.get("apiVersion").cloned();
    for (index, mut item) in items.into_iter().enumerate() {
        // The items of a typed list may leave out what the list says.
        if let (false, Some(item)) = (item_kind.is_empty(), item.as_object_mut()) {
            item.entry("kind").or_insert_with(|| item_kind.clone().into());
            if let Some(version) = &version {
                item.entry("apiVersion").or_insert_with(|| version.clone());
            }
        }
        let within = format!("{within}{}items[{index}]", if within.is_empty() { "" } else { "." });
        unpack(document, within, item, all);
    }
}

/// One step of a field path.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, indexes) = part.split_once('[').unwrap_or((part, ""));
        if !key.is_empty() {
            steps.push(Step::Key(key));
        }
        steps.extend(indexes.split('[').filter_map(|index| index.trim_end_matches(']').parse().ok()).map(Step::Index));
    }
    steps
}

/// Follows the steps through the parser's events and returns the place of the deepest one found. Bounded by the text.
fn find(text: &str, steps: &[Step<'_>]) -> Option<(usize, usize)> {
    let mut finder = Finder { steps, open: Vec::new(), best: 0, place: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        finder.see(&event, (span.start.line(), span.start.col() + 1));
    }
    finder.place
}

struct Finder<'a> {
    steps: &'a [Step<'a>],
    /// The collections that are open, the innermost last.
    open: Vec<Open>,
    /// How many steps were found, and where the last of them is.
    best: usize,
    place: Option<(usize, usize)>,
}

/// A collection that is open.
struct Open {
    is_map: bool,
    /// How many of the steps lead to it; `None`: it lies aside.
    depth: Option<usize>,
    /// In a sequence: the index of the next node.
    index: usize,
    /// In a mapping, after a key: how many of the steps lead to its value.
    value: Option<Option<usize>>,
}

impl Finder<'_> {
    fn see(&mut self, event: &Event<'_>, at: (usize, usize)) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the parser's other events are no nodes, those to come included")]
        let opens = match event {
            Event::Scalar(..) | Event::Alias(_) => None,
            Event::SequenceStart(..) => Some(false),
            Event::MappingStart(..) => Some(true),
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
                return;
            }
            _ => return,
        };
        let depth = self.enter(event, at);
        if let Some(is_map) = opens {
            self.open.push(Open { is_map, depth, index: 0, value: None });
        }
    }

    /// How many of the steps lead to this node; `None` for one that lies aside, and for the keys of mappings.
    fn enter(&mut self, event: &Event<'_>, at: (usize, usize)) -> Option<usize> {
        let Some(parent) = self.open.last_mut() else { return Some(0) };
        if let Some(depth) = parent.value.take() {
            return depth;
        }
        let step = match (parent.is_map, event) {
            (true, Event::Scalar(key, ..)) => Step::Key(key),
            (true, _) => {
                parent.value = Some(None);
                return None;
            }
            (false, _) => Step::Index(parent.index),
        };
        let next = parent.depth.filter(|depth| self.steps.get(*depth) == Some(&step)).map(|depth| depth + 1);
        if let Some(next) = next.filter(|next| *next > self.best) {
            (self.best, self.place) = (next, Some(at));
        }
        parent.index += 1;
        if parent.is_map {
            parent.value = Some(next);
            return None;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(text: &str, format: Format) -> Vec<Result<Value, (usize, usize)>> {
        parse(text, format).into_iter().map(|parsed| parsed.value.map_err(|syntax| (syntax.line, syntax.column))).collect()
    }

    #[test]
    fn a_broken_document_harms_only_itself() {
        let found = values("a: 1\n---\nb: [1\nc: }\n---\nd: 2\n", Format::Yaml);
        assert_eq!(found.len(), 3);
        assert_eq!((&found[0], &found[2]), (&Ok(json!({"a": 1})), &Ok(json!({"d": 2}))));
        assert_eq!(found[1].as_ref().unwrap_err().0, 4, "the line inside the file");
    }

    #[test]
    fn yaml_is_read_as_kubectl_reads_it() {
        let rows = [
            ("a: yes\nb: on\nc: true\nd: 'yes'", json!({"a": true, "b": true, "c": true, "d": "yes"})),
            ("b: 0x10\nc: 1e3\nd: \"80\"", json!({"b": 16, "c": 1000.0, "d": "80"})),
            ("a: ~\nb:\nc: null", json!({"a": null, "b": null, "c": null})),
            ("a: &x {k: v}\nb: *x", json!({"a": {"k": "v"}, "b": {"k": "v"}})),
            ("{\"a\": [1, 2],\n\t\"b\": \"x\"}", json!({"a": [1, 2], "b": "x"})),
        ];
        for (text, expected) in rows {
            assert_eq!(values(text, Format::Yaml), [Ok(expected)], "{text}");
        }
    }

    #[test]
    fn keys_given_twice_and_alias_bombs_are_refused() {
        assert!(values("a: 1\na: 2", Format::Yaml)[0].is_err());
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(values(&bomb, Format::Yaml)[0].is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(values(&deep, Format::Yaml)[0].is_err());
        assert!(values(&deep, Format::Json)[0].is_err());
    }

    #[test]
    fn what_is_wrong_with_a_document_is_said_in_words_of_documents() {
        let reason = |text: &str| match parse(text, Format::Yaml).remove(0).value {
            Err(syntax) => syntax.reason,
            Ok(value) => panic!("{value}"),
        };
        assert_eq!(reason("a: 1\na: 2"), "not YAML: the key a stands twice in one mapping");
        let bomb: String =
            (1..40).map(|at| format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 9].join(","))).collect();
        let reason = reason(&format!("a0: &a0 x\n{bomb}"));
        assert_eq!(reason, format!("not YAML: {TOO_MANY_ALIASES}"));
    }

    #[test]
    fn lists_are_unpacked() {
        let text =
            "apiVersion: v1\nkind: List\nitems:\n- {kind: A, n: 1}\n- apiVersion: g/v1\n  kind: BList\n  items: [{n: 2}]\n";
        let found: Vec<_> = parse(text, Format::Yaml).into_iter().map(|one| (one.within, one.value.unwrap())).collect();
        let expected = [
            ("items[0]".to_owned(), json!({"kind": "A", "n": 1})),
            ("items[1].items[0]".to_owned(), json!({"kind": "B", "apiVersion": "g/v1", "n": 2})),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stream_of_json_is_read_up_to_what_is_broken() {
        let found = values("{\"a\": 1}\n{\"b\": 2}\n{\"c\": ", Format::Json);
        assert_eq!(found[..2], [Ok(json!({"a": 1})), Ok(json!({"b": 2}))]);
        assert_eq!(found[2], Err((3, 6)));
        assert_eq!(parse("{}\n\n[]", Format::Json)[1].document.line, 3);
    }

    #[test]
    fn a_field_is_found_at_its_line() {
        let text = "# x\n---\nkind: R\nspec:\n  rules:\n  - name: a\n  - matches:\n    - path: {value: /a}\n    ? [complex]\n    : 1\n    name: b\n";
        let document = split(text)[0];
        let rows = [
            ("spec.rules[1].matches[0].path.value", (8, 14)),
            ("spec.rules[1].name", (11, 5)),
            ("spec.rules[1].filters[0].type", (7, 5)),
            ("spec.rules[7]", (5, 3)),
            ("nowhere", (3, 1)),
            ("", (3, 1)),
        ];
        for (path, expected) in rows {
            assert_eq!(locate(document, path), expected, "{path}");
        }
    }
}
