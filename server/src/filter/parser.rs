//! Parses tokens to a checked syntax tree, by recursive descent with bounded depth.
//!
//! ```text
//! list       = operand { "AND" operand } | operand { "OR" operand }
//! operand    = ("NOT" | "-") operand | "(" list ")" | comparison
//! comparison = field op value
//! ```

use mos_text::Echo;

use super::{
    FilterError, FilterErrorKind,
    expr::{Expr, Op},
    field::{Field, Scope, UNAVAILABLE},
    lexer::{Lexer, Token, TokenKind},
};
use crate::words::bounds::{FILTER_COMPARISONS_MAX, FILTER_DEPTH_MAX, FILTER_TEXT_MAX};

/// Parses a whole filter; `None` if it is empty.
pub(super) fn parse(text: &str, scope: Scope) -> Result<Option<Expr>, FilterError> {
    if text.len() > FILTER_TEXT_MAX {
        return Err(invalid(
            FILTER_TEXT_MAX + 1,
            format!("the filter is longer than {FILTER_TEXT_MAX} bytes"),
        ));
    }
    let mut lexer = Lexer::new(text);
    let next = lexer.next()?;
    let mut parser = Parser { lexer, next, comparisons: 0, scope };
    if parser.next.kind == TokenKind::End {
        return Ok(None);
    }
    let expr = parser.list(0)?;
    match parser.next.kind {
        TokenKind::End => Ok(Some(expr)),
        TokenKind::Close => Err(parser.unexpected("this parenthesis was not opened")),
        TokenKind::Open
        | TokenKind::Minus
        | TokenKind::Op(_)
        | TokenKind::And
        | TokenKind::Or
        | TokenKind::Not
        | TokenKind::Word(_)
        | TokenKind::Quoted(_) => Err(parser.unexpected("expected AND, OR or the end")),
    }
}

#[derive(Debug)]
struct Parser<'a> {
    lexer: Lexer<'a>,
    next: Token<'a>,
    comparisons: usize,
    scope: Scope,
}

impl<'a> Parser<'a> {
    fn list(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let first = self.operand(depth)?;
        let operator = self.next.kind;
        if !matches!(operator, TokenKind::And | TokenKind::Or) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while matches!(self.next.kind, TokenKind::And | TokenKind::Or) {
            if self.next.kind != operator {
                return Err(FilterError {
                    kind: FilterErrorKind::Ambiguous,
                    column: self.next.column,
                    message: "AND and OR stand side by side: set parentheses".to_owned(),
                });
            }
            let _operator: Token<'_> = self.take()?;
            parts.push(self.operand(depth)?);
        }
        Ok(if operator == TokenKind::And { Expr::And(parts) } else { Expr::Or(parts) })
    }

    fn operand(&mut self, depth: usize) -> Result<Expr, FilterError> {
        match self.next.kind {
            TokenKind::Not | TokenKind::Minus => {
                let negation = self.take()?;
                let depth = deeper(depth, negation.column)?;
                Ok(Expr::Not(Box::new(self.operand(depth)?)))
            }
            TokenKind::Open => {
                let open = self.take()?;
                let list = self.list(deeper(depth, open.column)?)?;
                if self.next.kind != TokenKind::Close {
                    return Err(self.unexpected("expected a closing parenthesis"));
                }
                let _close: Token<'_> = self.take()?;
                Ok(list)
            }
            TokenKind::Word(name) => self.comparison(name),
            TokenKind::Close
            | TokenKind::Op(_)
            | TokenKind::And
            | TokenKind::Or
            | TokenKind::Quoted(_)
            | TokenKind::End => Err(self.unexpected("expected a field")),
        }
    }

    fn comparison(&mut self, name: &str) -> Result<Expr, FilterError> {
        let column = self.take()?.column;
        let field = field(name, column, self.scope)?;
        self.comparisons += 1;
        if self.comparisons > FILTER_COMPARISONS_MAX {
            return Err(invalid(column, format!("more than {FILTER_COMPARISONS_MAX} comparisons")));
        }
        let TokenKind::Op(op) = self.next.kind else {
            return Err(self.unexpected("expected =, !=, <, <=, > or >="));
        };
        let operator = self.take()?;
        if op.is_ordering() && !field.kind().is_ordered() {
            let message = format!("{} has no order: only = and != compare it", field.name());
            return Err(invalid(operator.column, message));
        }
        self.value(field, op)
    }

    fn value(&mut self, field: Field, op: Op) -> Result<Expr, FilterError> {
        let (TokenKind::Word(text) | TokenKind::Quoted(text)) = self.next.kind else {
            return Err(self.unexpected(&format!("expected {}", field.kind().expected())));
        };
        let column = self.take()?.column;
        let Some(value) = field.kind().value(text) else {
            let expected = field.kind().expected();
            let (field, text) = (field.name(), Echo(text));
            let message = format!("{field} is compared with {expected}, not {text}");
            return Err(invalid(column, message));
        };
        Ok(Expr::Compare { field, op, value })
    }

    /// Returns the current token, and reads the one after it.
    fn take(&mut self) -> Result<Token<'a>, FilterError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn unexpected(&self, wanted: &str) -> FilterError {
        invalid(self.next.column, format!("{wanted}, not {}", self.next.kind.describe()))
    }
}

fn field(name: &str, column: usize, scope: Scope) -> Result<Field, FilterError> {
    let unavailable =
        |message| Err(FilterError { kind: FilterErrorKind::FieldUnavailable, column, message });
    let names = || {
        let known = Field::all().filter(|field| field.is_in(scope));
        known.map(Field::name).collect::<Vec<_>>().join(", ")
    };
    match Field::all().find(|field| field.name() == name) {
        Some(field) if field.is_in(scope) => Ok(field),
        Some(_) => {
            let what = scope.subjects();
            unavailable(format!("{what} have no {name}: they have {}", names()))
        }
        None if UNAVAILABLE.contains(&name) => {
            unavailable(format!("this version does not know the {name} of a flow"))
        }
        None => {
            let (what, name, names) = (scope.subjects(), Echo(name), names());
            Err(invalid(column, format!("{what} have no field {name}: there are {names}")))
        }
    }
}

fn deeper(depth: usize, column: usize) -> Result<usize, FilterError> {
    if depth < FILTER_DEPTH_MAX {
        Ok(depth + 1)
    } else {
        Err(invalid(column, format!("nested deeper than {FILTER_DEPTH_MAX}")))
    }
}

const fn invalid(column: usize, message: String) -> FilterError {
    FilterError { kind: FilterErrorKind::Invalid, column, message }
}
