//! Multiplies a filter of flows that begin out: `a AND (b OR c)` becomes `a AND b`, `a AND c`.
//!
//! Conditions on one field never multiply: any of them is a set of the field's values.

use std::net::IpAddr;

use mos_stack::policy::{AddressRanges, Alternative, Ranges};
use mos_text::Prefix;

use super::{
    expr::{Expr, Op},
    field::{Field, Value},
};
use crate::words::bounds::POLICY_ALTERNATIVES_MAX;

/// The alternatives of a condition that holds, or that does not hold. `None` if they are too many.
#[expect(clippy::fn_params_excessive_bools, reason = "a truth value is what it is about")]
pub(super) fn of(expr: &Expr, holds: bool) -> Option<Vec<Alternative>> {
    match (expr, holds) {
        (Expr::And(parts), true) | (Expr::Or(parts), false) => {
            parts.iter().try_fold(vec![Alternative::all()], |all, part| {
                let more = of(part, holds)?;
                let pairs = all.iter().flat_map(|one| more.iter().map(move |other| (one, other)));
                sum(pairs.filter_map(|(one, other)| one.intersection(other)))
            })
        }
        (Expr::Or(parts), true) | (Expr::And(parts), false) => {
            let each: Option<Vec<_>> = parts.iter().map(|part| of(part, holds)).collect();
            sum(each?.into_iter().flatten())
        }
        (Expr::Not(part), _) => of(part, !holds),
        (Expr::Compare { field, op, value }, _) => {
            let one = comparison(*field, *op, *value, holds);
            // What no flow fits is no alternative.
            Some(one.intersection(&Alternative::all()).into_iter().collect())
        }
    }
}

/// All alternatives, merged where two make one. `None` if they are too many.
fn sum(alternatives: impl Iterator<Item = Alternative>) -> Option<Vec<Alternative>> {
    let mut all: Vec<Alternative> = Vec::new();
    for one in alternatives {
        match all.iter_mut().find_map(|other| other.merged(&one).map(|merged| (other, merged))) {
            Some((other, merged)) => *other = merged,
            None => all.push(one),
        }
        if all.len() > POLICY_ALTERNATIVES_MAX {
            return None;
        }
    }
    Some(all)
}

/// The one alternative of a comparison.
#[expect(clippy::fn_params_excessive_bools, reason = "a truth value is what it is about")]
fn comparison(field: Field, op: Op, value: Value, holds: bool) -> Alternative {
    let mut alternative = Alternative::all();
    let not_unless = |holds: bool, ranges: Ranges<u16>| {
        if holds { ranges } else { ranges.complement() }
    };
    match (field, value) {
        (Field::Address(side), Value::Prefix(prefix)) => {
            let addresses = addresses(prefix);
            let is_equal = (op == Op::Equal) == holds;
            alternative.ends[side].addresses =
                if is_equal { addresses } else { addresses.complement() };
        }
        (Field::Port(side), Value::Number(wanted)) => {
            alternative.ends[side].ports = not_unless(holds, numbers(op, wanted, u16::MAX));
        }
        (Field::Vlan, Value::Number(wanted)) => {
            let largest = Alternative::UNTAGGED - 1;
            alternative.vlans = not_unless(holds, numbers(op, wanted, largest));
        }
        // The parser lets no other field in, and gives these their values.
        (field, value) => debug_assert!(false, "{field:?} {value:?}"),
    }
    alternative
}

/// The numbers up to `largest` for which a comparison holds. What is no number, and stands behind
/// the largest, is unequal to every number.
fn numbers(op: Op, wanted: u64, largest: u16) -> Ranges<u16> {
    let up_to = |last: Option<u64>| match last {
        Some(last) => Ranges::of(0..=u16::try_from(last).unwrap_or(largest).min(largest)),
        None => Ranges::none(),
    };
    let behind = |all: Ranges<u16>| Ranges::of(0..=largest).intersection(&all.complement());
    match op {
        Op::Equal => match u16::try_from(wanted) {
            Ok(wanted) if wanted <= largest => Ranges::of(wanted..=wanted),
            Ok(_) | Err(_) => Ranges::none(),
        },
        Op::NotEqual => numbers(Op::Equal, wanted, largest).complement(),
        Op::Less => up_to(wanted.checked_sub(1)),
        Op::LessOrEqual => up_to(Some(wanted)),
        Op::Greater => behind(up_to(Some(wanted))),
        Op::GreaterOrEqual => behind(up_to(wanted.checked_sub(1))),
    }
}

/// The addresses of a prefix.
fn addresses(prefix: Prefix) -> AddressRanges {
    let (mut v4, mut v6) = (Ranges::none(), Ranges::none());
    let length = u32::from(prefix.length());
    match prefix.address() {
        IpAddr::V4(first) => {
            let first = first.to_bits();
            v4 = Ranges::of(first..=first | u32::MAX.checked_shr(length).unwrap_or_default());
        }
        IpAddr::V6(first) => {
            let first = first.to_bits();
            v6 = Ranges::of(first..=first | u128::MAX.checked_shr(length).unwrap_or_default());
        }
    }
    AddressRanges { v4, v6 }
}
