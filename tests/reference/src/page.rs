//! How pages are written in Markdown.

/// Begins a page: its heading, and that nobody should edit it.
pub(crate) fn begin(heading: &str, source: &str) -> String {
    format!("<!-- Made by `make reference` from {source}. -->\n\n# {heading}\n")
}

/// A table; nothing where it would have no row.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let head_line = line(head.iter().map(|&cell| cell.to_owned()).collect());
    let rule = line(head.iter().map(|_| "---".to_owned()).collect());
    let rows = rows.iter().map(|row| line(row.iter().map(|cell| one_line(cell)).collect()));
    format!("\n{head_line}{rule}{}", rows.collect::<String>())
}

/// Text as it may stand in a cell.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// A paragraph of plain text, in lines of at most 100 columns.
pub(crate) fn paragraph(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = |line: &String| line.is_empty() || line.len() + 1 + word.len() <= 100;
        match lines.last_mut().filter(|line| fits(line)) {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    format!("\n{}\n", escaped(&lines.join("\n")))
}

/// Plain text with the marks of tags taken from it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('<', "\\<")
}

/// Help as a sentence: clap takes its last full stop.
pub(crate) fn sentence(help: &str) -> String {
    let help = help.trim();
    if help.is_empty() || help.ends_with(['.', ':']) { help.to_owned() } else { format!("{help}.") }
}
