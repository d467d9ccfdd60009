//! A text that cannot be printed.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serializer};

/// A credential. Prints as `[redacted]`, is wiped when dropped, and has no `Serialize`: the one
/// message that carries secrets names [`on_the_wire`] at its field.
#[derive(Clone)]
pub struct Secret(SecretString);

/// Why a text cannot be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Nothing but white space.
    #[error("the secret is empty")]
    Empty,
    /// A header or a line protocol would be broken by it.
    #[error("the secret contains a line break, a NUL or another control character")]
    ControlCharacter,
    /// Over [`crate::limits::SECRET_MAX_BYTES`].
    #[error("the secret is longer than 8 KiB")]
    TooLong,
}

impl Secret {
    /// Takes a secret as it stands in a file: one trailing line break is cut off.
    ///
    /// # Errors
    /// When it is empty, over 8 KiB, or holds control characters (CASES 220).
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(BadSecret::Empty);
        }
        if text.len() > crate::limits::SECRET_MAX_BYTES {
            return Err(BadSecret::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(BadSecret::ControlCharacter);
        }
        Ok(Self(SecretString::from(text)))
    }

    /// The text itself. Call it only where it leaves for its one destination.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SecretString::deserialize(deserializer)?;
        Self::parse(text.expose_secret()).map_err(serde::de::Error::custom)
    }
}

/// Writes a secret into the control message that delivers it, and nowhere else.
///
/// # Errors
/// Those of the serializer.
pub fn on_the_wire<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 220
    #[test]
    fn a_secret_is_trimmed_once_and_checked() {
        assert_eq!(Secret::parse("abc\n").unwrap().expose(), "abc");
        assert_eq!(Secret::parse("abc\r\n").unwrap().expose(), "abc");
        assert_eq!(Secret::parse("abc\n\n").unwrap_err(), BadSecret::ControlCharacter);
        assert_eq!(Secret::parse(" \n").unwrap_err(), BadSecret::Empty);
        assert_eq!(Secret::parse("a\0b").unwrap_err(), BadSecret::ControlCharacter);
        assert_eq!(Secret::parse(&"x".repeat(9000)).unwrap_err(), BadSecret::TooLong);
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::parse("hunter2hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }
}
