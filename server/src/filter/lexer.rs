//! Splits the text of a filter into tokens.

use mos_text::Echo;

use super::{FilterError, FilterErrorKind, expr::Op};

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind<'a>,
    /// Number of its first character, counted from 1.
    pub(super) column: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind<'a> {
    Open,
    Close,
    Minus,
    Op(Op),
    And,
    Or,
    Not,
    /// Letters, digits and `_ . : / -` within.
    Word(&'a str),
    /// Anything between quotes.
    Quoted(&'a str),
    End,
}

impl TokenKind<'_> {
    /// The token as a message names it.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Open => "\"(\"".to_owned(),
            Self::Close => "\")\"".to_owned(),
            Self::Minus => "\"-\"".to_owned(),
            Self::Op(op) => format!("{:?}", op.as_str()),
            Self::And => "AND".to_owned(),
            Self::Or => "OR".to_owned(),
            Self::Not => "NOT".to_owned(),
            Self::Word(text) | Self::Quoted(text) => Echo(text).to_string(),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Returns the tokens one by one.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
    column: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text, column: 1 }
    }

    /// The next token; [`TokenKind::End`] for every call at the end.
    pub(super) fn next(&mut self) -> Result<Token<'a>, FilterError> {
        let blanks = self.rest.len() - self.rest.trim_start().len();
        self.advance(blanks);
        let column = self.column;
        let kind = self.kind()?;
        Ok(Token { kind, column })
    }

    fn kind(&mut self) -> Result<TokenKind<'a>, FilterError> {
        let Some(first) = self.rest.chars().next() else { return Ok(TokenKind::End) };
        let second = self.rest[first.len_utf8()..].chars().next();
        let (kind, length) = match (first, second) {
            ('(', _) => (TokenKind::Open, 1),
            (')', _) => (TokenKind::Close, 1),
            ('-', _) => (TokenKind::Minus, 1),
            ('=', _) => (TokenKind::Op(Op::Equal), 1),
            ('!', Some('=')) => (TokenKind::Op(Op::NotEqual), 2),
            ('<', Some('=')) => (TokenKind::Op(Op::LessOrEqual), 2),
            ('<', _) => (TokenKind::Op(Op::Less), 1),
            ('>', Some('=')) => (TokenKind::Op(Op::GreaterOrEqual), 2),
            ('>', _) => (TokenKind::Op(Op::Greater), 1),
            ('"' | '\'', _) => return self.quoted(first),
            (letter, _) if is_word(letter) => return Ok(self.word()),
            (other, _) => {
                return Err(self.error(format!("{other:?} does not belong into a filter")));
            }
        };
        self.advance(length);
        Ok(kind)
    }

    fn quoted(&mut self, quote: char) -> Result<TokenKind<'a>, FilterError> {
        let inside = &self.rest[1..];
        let Some(end) = inside.find(quote) else {
            return Err(self.error(format!("the text after {quote} has no end")));
        };
        self.advance(end + 2);
        Ok(TokenKind::Quoted(&inside[..end]))
    }

    fn word(&mut self) -> TokenKind<'a> {
        let end = self.rest.find(|c| !is_word(c) && c != '-').unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.advance(end);
        match word {
            "AND" => TokenKind::And,
            "OR" => TokenKind::Or,
            "NOT" => TokenKind::Not,
            _ => TokenKind::Word(word),
        }
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.column += passed.chars().count();
        self.rest = rest;
    }

    const fn error(&self, message: String) -> FilterError {
        FilterError { kind: FilterErrorKind::Invalid, column: self.column, message }
    }
}

const fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | ':' | '/')
}
