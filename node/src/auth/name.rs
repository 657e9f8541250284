//! What an account may be called, and what a password may look like.
//!
//! # Invariants
//!
//! * A name that was checked is lower case, so no two accounts differ by case alone.

use hubbub_protocol::{error::Refusal, limits::NAME_CHARS_MAX};

/// Shortest name, in characters.
pub const NAME_CHARS_MIN: usize = 3;
/// Longest name of an account, in characters.
pub const ACCOUNT_NAME_CHARS_MAX: usize = 32;
/// Shortest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Longest password, in characters: long enough for any sentence, short enough to hash at once.
pub const PASSWORD_CHARS_MAX: usize = 256;
/// Longest mail address, in bytes (RFC 5321 allows 254 between the angle brackets).
pub const EMAIL_BYTES_MAX: usize = 254;

/// Checks a name: 3–32 of `a-z 0-9 _ . -`.
///
/// # Errors
/// `bad_request` for `name`.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = (NAME_CHARS_MIN..=ACCOUNT_NAME_CHARS_MAX).contains(&name.len());
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
    if fits && name.bytes().all(allowed) {
        return Ok(());
    }
    let rule = "a name has 3 to 32 characters of a-z, 0-9, _, . and -";
    Err(Refusal::field("name", rule))
}

/// Checks the length of a password; what is in it is its owner's affair.
///
/// # Errors
/// `bad_request` for `password`.
pub fn check_password(password: &str) -> Result<(), Refusal> {
    let chars = password.chars().count();
    if (PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
        return Ok(());
    }
    let rule = format!("a password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters");
    Err(Refusal::field("password", rule))
}

/// Checks a display name and takes the white space around it away.
///
/// # Errors
/// `bad_request` for `display`.
pub fn check_display(display: &str) -> Result<String, Refusal> {
    let display = display.trim();
    let fits = (1..=NAME_CHARS_MAX).contains(&display.chars().count());
    if fits && !display.chars().any(char::is_control) {
        return Ok(display.to_owned());
    }
    let rule = format!("a display name has 1 to {NAME_CHARS_MAX} characters, none of them control");
    Err(Refusal::field("display", rule))
}

/// Checks that a text may be a mail address: something, an `@`, something, without white space.
/// Only a message sent there would tell more.
///
/// # Errors
/// `bad_request` for `email`.
pub fn check_email(email: &str) -> Result<(), Refusal> {
    let parts = email.split_once('@');
    let shaped = parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    let clean = !email.chars().any(|char| char.is_whitespace() || char.is_control());
    if shaped && clean && email.len() <= EMAIL_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::field("email", "this is no mail address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_3_to_32_of_the_documented_characters() {
        for good in ["ada", "a.b-c_9", &"x".repeat(32)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let long = "x".repeat(33);
        for bad in ["", "ab", &long, "Ada", "ada lovelace", "ädä", "ada\0", "a/b"] {
            let refused = check_name(bad).expect_err(bad);
            assert_eq!(refused.field.as_deref(), Some("name"));
        }
    }

    #[test]
    fn a_password_is_counted_in_characters_not_bytes() {
        assert!(check_password("päßwörter!").is_ok());
        assert!(check_password("123456789").is_err());
        assert!(check_password("öööööö").is_err(), "12 bytes, 6 characters");
        assert!(check_password(&"ö".repeat(256)).is_ok());
        assert!(check_password(&"x".repeat(257)).is_err());
    }

    #[test]
    fn a_display_name_is_trimmed_and_not_empty() {
        assert_eq!(check_display("  Ada  ").as_deref(), Ok("Ada"));
        assert!(check_display("  ").is_err());
        assert!(check_display("a\nb").is_err());
        assert!(check_display(&"x".repeat(101)).is_err());
    }

    #[test]
    fn a_mail_address_has_two_sides() {
        assert!(check_email("ada@example.org").is_ok());
        for bad in ["ada", "@x", "x@", "a b@c", "a@b\n"] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }
}
