//! Rust text without its comments and literals, so that a rule about code reads code only.

/// Returns `text` with comments, strings and character literals blanked out; line breaks stay, so
/// line numbers stay right.
pub fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = literal_or_comment(rest, out.chars().next_back());
        let (taken, blank) = if skipped == 0 { (first.len_utf8(), false) } else { (skipped, true) };
        let (piece, after) = rest.split_at(taken);
        if blank {
            out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(piece);
        }
        rest = after;
    }
    out
}

/// Length of the comment or literal that `rest` begins with; 0 when it begins with code.
fn literal_or_comment(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return quoted(rest);
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    if !in_word {
        let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'));
        if let Some(raw) = raw {
            return raw_string(raw).map_or(0, |length| rest.len() - raw.len() + length);
        }
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_u32;
    let mut at = 0;
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// A character literal, as opposed to a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            rest.char_indices().skip(3).find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1)
        }
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            Some(_) | None => 0,
        },
        None => 0,
    }
}

/// Length of a raw string after its `r`; `None` when this is not one.
fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = rest.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end)?;
    Some(hashes + 1 + length + end.len())
}

#[cfg(test)]
mod tests {
    use super::code_only;

    #[track_caller]
    fn check(text: &str, gone: &[&str], kept: &[&str]) {
        let code = code_only(text);
        for word in gone {
            assert!(!code.contains(word), "{word:?} is left in {code:?}");
        }
        for word in kept {
            assert!(code.contains(word), "{word:?} is gone from {code:?}");
        }
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn comments_are_no_code() {
        check("a // b\nc /* d /* e */ f */ g", &["b", "d", "e", "f"], &["a", "c", "g"]);
    }

    #[test]
    fn strings_are_no_code() {
        check(r#"a("b \" c") d"#, &["b", "c"], &["a", "d"]);
        check("a(r#\"b \" c\"#) d br\"e\"", &["b \"", "c", "e"], &["a", "d"]);
    }

    #[test]
    fn lifetimes_are_code_and_characters_are_not() {
        check("fn a<'b>(x: &'b str) { '\"' ; 'd' ; '\\'' } e", &["'d'", "\""], &["'b", "e"]);
    }

    #[test]
    fn names_that_end_in_r_are_code() {
        check("for \"b\" c", &["b"], &["for", "c"]);
    }
}
