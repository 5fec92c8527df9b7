//! The syntax tree. Printing a tree and parsing the text gives the same tree.

use std::fmt;

use super::field::{Field, Value};

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    /// Two or more conditions. All must hold.
    And(Vec<Self>),
    /// Two or more conditions. At least one must hold.
    Or(Vec<Self>),
    /// The negation of the condition.
    Not(Box<Self>),
    /// A comparison of a field with a value.
    Compare {
        /// The field.
        field: Field,
        /// The operator.
        op: Op,
        /// The value, of the field's type.
        value: Value,
    },
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Op {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether the operator needs values with an order.
    pub(super) const fn is_ordering(self) -> bool {
        match self {
            Self::Equal | Self::NotEqual => false,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => true,
        }
    }

    pub(super) fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => joined(parts, " AND ", f),
            Self::Or(parts) => joined(parts, " OR ", f),
            Self::Not(part) => {
                f.write_str("NOT ")?;
                operand(part, f)
            }
            Self::Compare { field, op, value } => {
                write!(f, "{} {} {value}", field.name(), op.as_str())
            }
        }
    }
}

fn joined(parts: &[Expr], operator: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(operator)?;
        }
        operand(part, f)?;
    }
    Ok(())
}

/// An operand, in parentheses if it is itself a list.
fn operand(part: &Expr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match part {
        Expr::And(_) | Expr::Or(_) => write!(f, "({part})"),
        Expr::Not(_) | Expr::Compare { .. } => write!(f, "{part}"),
    }
}
