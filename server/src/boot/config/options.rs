//! Section `[options]`: what a flow starts with, and what may not be changed while it lives.
//!
//! The keys are those of the table of options, [`mos_stack::SockOptName::row`].

use std::fmt;

use mos_stack::{
    SockOptKind, SockOptName, SockOptNames, SockOptValue, SockOpts, limits::BUFFER_BYTES_CEILING,
};
use mos_text::{Echo, Size};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
    ser::{Serialize, SerializeMap as _, Serializer},
};

/// Section `[options]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// What a flow starts with; capacities as written, not rounded up to blocks.
    pub defaults: SockOpts,
    /// Options that nobody may change while a flow lives.
    pub locked: SockOptNames,
}

/// A key of the section.
enum Key {
    /// The default of an option.
    Default(SockOptName),
    /// `locked`.
    Locked,
}

const LOCKED: &str = "locked";

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        let option = SockOptName::ALL.into_iter().find(|name| name.row().key == Some(&key));
        match option {
            Some(name) => Ok(Self::Default(name)),
            None if key == LOCKED => Ok(Self::Locked),
            None => {
                let keys = SockOptName::ALL.into_iter().filter_map(|name| name.row().key);
                let keys: Vec<_> = keys.chain([LOCKED]).map(|key| format!("`{key}`")).collect();
                let keys = keys.join(", ");
                Err(D::Error::custom(format_args!("unknown field `{key}`, expected one of {keys}")))
            }
        }
    }
}

/// An option that can be locked: its key in this section, or its name in the API.
struct Locked(SockOptName);

impl<'de> Deserialize<'de> for Locked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_it = |name: &SockOptName| name.as_str() == text || name.row().key == Some(&text);
        SockOptName::ALL.into_iter().find(is_it).map(Self).ok_or_else(|| {
            let names = SockOptName::ALL.map(|name| name.row().key.unwrap_or(name.as_str()));
            let (text, names) = (Echo(&text), names.join(", "));
            D::Error::custom(format_args!("no option is called {text}: {names}"))
        })
    }
}

/// The capacity of a receive buffer.
pub(super) fn capacity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    let size = Size::deserialize(deserializer)?;
    if size.0 <= BUFFER_BYTES_CEILING {
        Ok(size)
    } else {
        let ceiling = Size(BUFFER_BYTES_CEILING);
        Err(D::Error::custom(format_args!("a buffer of {size} is above the limit {ceiling}")))
    }
}

/// A value of an option of this kind.
struct Value(SockOptKind);

impl<'de> DeserializeSeed<'de> for Value {
    type Value = SockOptValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<SockOptValue, D::Error> {
        if self.0 == SockOptKind::Bytes {
            return capacity(deserializer).map(|size| SockOptValue::Bytes(size.0));
        }
        let word = String::deserialize(deserializer)?;
        self.0.named_values().find(|value| value.to_string() == word).ok_or_else(|| {
            let words: Vec<_> = self.0.named_values().map(|value| value.to_string()).collect();
            D::Error::custom(format_args!("{} is none of {}", Echo(&word), words.join(", ")))
        })
    }
}

/// Reads the section key by key.
struct Section;

impl<'de> Visitor<'de> for Section {
    type Value = Options;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the section [options]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
        let mut options = Options::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Default(name) => {
                    let value = map.next_value_seed(Value(name.row().kind))?;
                    options.defaults.set(name, value);
                }
                Key::Locked => {
                    let locked: Vec<Locked> = map.next_value()?;
                    locked.iter().for_each(|Locked(name)| options.locked.insert(*name));
                }
            }
        }
        Ok(options)
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Section)
    }
}

impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut section = serializer.serialize_map(None)?;
        for name in SockOptName::ALL {
            if let Some(key) = name.row().key {
                section.serialize_entry(key, &self.defaults.get(name).to_string())?;
            }
        }
        let locked = SockOptName::ALL.into_iter().filter(|name| self.locked.contains(*name));
        section.serialize_entry(LOCKED, &locked.map(SockOptName::as_str).collect::<Vec<_>>())?;
        section.end()
    }
}
