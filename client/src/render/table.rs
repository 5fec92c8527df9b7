//! Tables for people, written while rows still arrive.
//!
//! The widths come from the first rows and only ever grow, so that a list of a million flows needs
//! no more memory than one page of it.

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Whether tables have titles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Titles {
    /// Above the first row.
    Shown,
    /// `--no-headers`.
    Hidden,
}

/// A partly written table.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    widths: Vec<usize>,
    title_due: bool,
}

impl Table {
    /// An empty table; with [`Titles::Shown`] the first rows are preceded by the titles.
    pub(crate) fn new(columns: &[(&str, Align)], titles: Titles) -> Self {
        let title_due = titles == Titles::Shown;
        let widths = columns.iter().map(|(title, _)| if title_due { title.len() } else { 0 });
        let widths = widths.collect();
        let columns = columns.iter().map(|(title, align)| ((*title).to_owned(), *align)).collect();
        Self { columns, widths, title_due }
    }

    /// The text of more rows, preceded by the titles if these are the first.
    pub(crate) fn rows(&mut self, rows: &[Vec<String>]) -> String {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        if self.title_due {
            let titles: Vec<_> = self.columns.iter().map(|(title, _)| title.as_str()).collect();
            self.row(&titles, &mut text);
            self.title_due = false;
        }
        for row in rows {
            let cells: Vec<_> = row.iter().map(String::as_str).collect();
            self.row(&cells, &mut text);
        }
        text
    }

    fn row(&self, cells: &[&str], text: &mut String) {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(&self.widths).zip(&self.columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            match align {
                Align::Left => line.push_str(&format!("{cell:<width$}")),
                Align::Right => line.push_str(&format!("{cell:>width$}")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Names and values, one pair a line, the values aligned.
pub(crate) fn pairs<N: AsRef<str>>(pairs: &[(N, String)]) -> String {
    let named = || pairs.iter().map(|(name, value)| (name.as_ref(), value));
    let width = named().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    named().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(&str, Align); 2] = [("NAME", Align::Left), ("CORE", Align::Right)];

    fn rows(rows: &[[&str; 2]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_fit_their_widest_cell() {
        let text =
            Table::new(&COLUMNS, Titles::Shown).rows(&rows(&[["a", "3"], ["longer", "12345"]]));
        assert_eq!(text, "NAME     CORE\na           3\nlonger  12345\n");
    }

    #[test]
    fn later_pages_have_no_title_and_never_shrink() {
        let mut table = Table::new(&COLUMNS, Titles::Shown);
        table.rows(&rows(&[["longer", "1"]]));
        assert_eq!(table.rows(&rows(&[["a", "2"]])), "a          2\n");
    }

    #[test]
    fn an_empty_table_still_shows_its_titles() {
        assert_eq!(Table::new(&COLUMNS, Titles::Shown).rows(&[]), "NAME  CORE\n");
    }

    #[test]
    fn without_headers_only_rows_count() {
        assert_eq!(Table::new(&COLUMNS, Titles::Hidden).rows(&rows(&[["a", "3"]])), "a  3\n");
    }
}
