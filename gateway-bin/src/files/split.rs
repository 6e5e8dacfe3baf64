//! One file's text cut into YAML documents, so that a broken one harms only itself.
//!
//! In: text. Out: its documents with the line each begins at. A line that begins with `---` or `...` ends a document wherever it
//! stands: YAML allows it inside no scalar. Documents without content (blank lines, comments) are left out; directives before a
//! `---` belong to the document after it.
//!
//! Invariants: every line with content is in exactly one document, in order.

/// One document of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Document<'a> {
    /// The line its text begins at, the file's first being 1.
    pub(crate) begin: usize,
    /// The line of its first content.
    pub(crate) line: usize,
    /// Its lines, its `---` included.
    pub(crate) text: &'a str,
}

/// Cuts a text into documents.
pub(crate) fn split(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    // Where the document being read begins (byte, line), and the line of its first content.
    let (mut start, mut begin) = (0, 1);
    let mut content = None;
    let mut directives = false;
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let ends = is_marker(line, "...");
        if ends || is_marker(line, "---") {
            if let Some(line) = content.take() {
                documents.push(Document { begin, line, text: &text[start..at] });
                directives = false;
            }
            if ends {
                (start, begin, directives) = (at + line.len(), number + 1, false);
            } else if !directives {
                (start, begin) = (at, number);
            }
            if !ends {
                directives = false;
                content = is_content(&line[3..]).then_some(number);
            }
        } else if content.is_none() && line.starts_with('%') {
            directives = true;
        } else if content.is_none() && is_content(line) {
            content = Some(number);
        }
        at += line.len();
    }
    if let Some(line) = content {
        documents.push(Document { begin, line, text: &text[start..] });
    }
    documents
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_begin_where_their_lines_do() {
        /// Where a document's text begins, where its content does, and the text.
        type Found<'a> = (usize, usize, &'a str);
        let rows: [(&str, &[Found<'_>]); 13] = [
            ("", &[]),
            ("\n# nothing\n---\n---\n", &[]),
            ("a: 1\n", &[(1, 1, "a: 1\n")]),
            ("a: 1\n---\nb: 2", &[(1, 1, "a: 1\n"), (2, 3, "---\nb: 2")]),
            ("---\na: 1\n---\n# only a comment\n---\nb: 2\n", &[(1, 2, "---\na: 1\n"), (5, 6, "---\nb: 2\n")]),
            ("# licence\n---\na: 1\n", &[(2, 3, "---\na: 1\n")]),
            ("--- {a: 1}\n--- # note\nb: 2\n", &[(1, 1, "--- {a: 1}\n"), (2, 3, "--- # note\nb: 2\n")]),
            ("%YAML 1.2\n---\na: 1\n...\n---\nb: 2\n", &[(1, 3, "%YAML 1.2\n---\na: 1\n"), (5, 6, "---\nb: 2\n")]),
            ("a: |\n  ---\n  x\n---\nb: 2\n", &[(1, 1, "a: |\n  ---\n  x\n"), (4, 5, "---\nb: 2\n")]),
            ("a: 1\r\n---\r\nb: 2\r\n", &[(1, 1, "a: 1\r\n"), (2, 3, "---\r\nb: 2\r\n")]),
            ("----\na: 1\n---x: 2\n", &[(1, 1, "----\na: 1\n---x: 2\n")]),
            ("a: 1\n...\nb: 2\n", &[(1, 1, "a: 1\n"), (3, 3, "b: 2\n")]),
            ("a: 1\n%b\n---\nc: 2\n", &[(1, 1, "a: 1\n%b\n"), (3, 4, "---\nc: 2\n")]),
        ];
        for (text, expected) in rows {
            let found: Vec<_> = split(text).into_iter().map(|document| (document.begin, document.line, document.text)).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
