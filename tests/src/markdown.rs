//! The parts of a Markdown page that a check can use: code fences, code marks, links, anchors.

use std::collections::BTreeSet;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A parsed page.
#[derive(Debug, Default)]
pub struct Page {
    /// Code fences, in order.
    pub fences: Vec<Fence>,
    /// Code marks in running text and tables.
    pub codes: Vec<Marked>,
    /// Targets of links and images.
    pub links: Vec<Marked>,
    /// Anchors that a link may name after `#`.
    pub anchors: BTreeSet<String>,
    /// Texts of the headings.
    pub headings: Vec<Marked>,
    /// The cells of each table row, the head included.
    pub rows: Vec<Row>,
    /// Lines of fences and tables, whose width is not limited.
    pub wide: BTreeSet<usize>,
}

/// A text and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Line, counted from 1.
    pub line: usize,
    /// The text.
    pub text: String,
}

/// A code fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Line of its first line of code.
    pub line: usize,
    /// The text after the opening marks: `sh`, `sh,no-run`.
    pub info: String,
    /// The contents.
    pub text: String,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Line.
    pub line: usize,
    /// Its cells, without marks of code or emphasis.
    pub cells: Vec<String>,
}

impl Page {
    /// Parses a page.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut reader = Reader { text, ..Reader::default() };
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            reader.take(event, range);
        }
        reader.page
    }

    /// The cells below the head cell `name`, in every table that has one.
    pub fn column(&self, name: &str) -> impl Iterator<Item = Marked> {
        let mut place = None;
        let mut end = 0;
        self.rows.iter().filter_map(move |row| {
            // A row that does not follow the one before (with the rule under the head between them)
            // is the head of another table.
            if row.line != end + 1 && row.line != end + 2 {
                place = None;
            }
            end = row.line;
            if let Some(found) = row.cells.iter().position(|cell| cell == name) {
                place = Some(found);
                return None;
            }
            let text = row.cells.get(place?)?.clone();
            Some(Marked { line: row.line, text })
        })
    }
}

/// Collects the parts of a page from the parser's events.
#[derive(Debug, Default)]
struct Reader<'a> {
    text: &'a str,
    page: Page,
    heading: Option<String>,
    cell: Option<String>,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what a check does not use passes by")]
impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, range: Range<usize>) {
        let line = self.line(range.start);
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(TagEnd::Heading(_)) => {
                let text = self.heading.take().unwrap_or_default();
                self.page.anchors.insert(free_anchor(&self.page.anchors, &anchor(&text)));
                self.page.headings.push(Marked { line, text });
            }
            Event::End(TagEnd::TableCell) => {
                let cell = self.cell.take().unwrap_or_default();
                if let Some(row) = self.page.rows.last_mut() {
                    row.cells.push(cell);
                }
            }
            Event::Code(code) => {
                self.page.codes.push(Marked { line, text: code.to_string() });
                self.text_piece(&code);
            }
            Event::Text(text) => self.text_piece(&text),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        let line = self.line(range.start);
        match tag {
            Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
                let lines: Vec<_> =
                    self.text.get(range.clone()).unwrap_or_default().lines().collect();
                let inner = lines.get(1..lines.len().saturating_sub(1)).unwrap_or_default();
                let text = inner.join("\n");
                self.widen(&range);
                self.page.fences.push(Fence { line: line + 1, info: info.to_string(), text });
            }
            Tag::CodeBlock(CodeBlockKind::Indented) | Tag::Table(_) => self.widen(&range),
            Tag::Heading { .. } => self.heading = Some(String::new()),
            Tag::TableHead | Tag::TableRow => {
                self.page.rows.push(Row { line, cells: Vec::new() });
            }
            Tag::TableCell => self.cell = Some(String::new()),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.page.links.push(Marked { line, text: dest_url.to_string() });
            }
            _ => {}
        }
    }

    fn text_piece(&mut self, text: &str) {
        for open in [&mut self.heading, &mut self.cell].into_iter().flatten() {
            open.push_str(text);
        }
    }

    fn widen(&mut self, range: &Range<usize>) {
        let last = self.line(range.end.saturating_sub(1));
        self.page.wide.extend(self.line(range.start)..=last);
    }

    fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or_default().matches('\n').count() + 1
    }
}

/// The anchor of a heading, as forges and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Adds a number to the anchor if it is taken.
fn free_anchor(taken: &BTreeSet<String>, anchor: &str) -> String {
    let numbered = (1..).map(|number| format!("{anchor}-{number}"));
    let mut candidates = std::iter::once(anchor.to_owned()).chain(numbered);
    candidates.find(|candidate| !taken.contains(candidate)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A page: of `code`\n\n[link](b.md#c) and `Type::method`\n\n```sh,no-run\n\
                        one\n\ntwo\n```\n\n| what | test |\n| --- | --- |\n| a | `b.rs::c` |\n\n\
                        ## Same\n\n## Same\n";

    #[test]
    fn fences_keep_their_info_lines_and_text() {
        let page = Page::read(PAGE);
        let fence = Fence { line: 6, info: "sh,no-run".to_owned(), text: "one\n\ntwo".to_owned() };
        assert_eq!(page.fences, [fence]);
        assert_eq!(page.wide, (5..=9).chain(11..=13).collect());
    }

    #[test]
    fn headings_become_anchors() {
        let page = Page::read(PAGE);
        let anchors: Vec<_> = page.anchors.iter().map(String::as_str).collect();
        assert_eq!(anchors, ["a-page-of-code", "same", "same-1"]);
    }

    #[test]
    fn links_codes_and_columns_are_found() {
        let page = Page::read(PAGE);
        assert_eq!(page.links, [Marked { line: 3, text: "b.md#c".to_owned() }]);
        let codes: Vec<_> = page.codes.iter().map(|code| code.text.as_str()).collect();
        assert_eq!(codes, ["code", "Type::method", "b.rs::c"]);
        let column: Vec<_> = page.column("test").collect();
        assert_eq!(column, [Marked { line: 13, text: "b.rs::c".to_owned() }]);
        assert_eq!(page.column("other").count(), 0);
    }
}
