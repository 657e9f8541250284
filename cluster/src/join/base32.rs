//! Base 32 (RFC 4648, lower case, no padding): numbers and hashes as text that is safe in names and on command lines.

use crate::identity::ClusterId;

const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// `bytes` as text: eight digits for five bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(digit(held >> bits));
        }
    }
    if bits > 0 {
        text.push(digit(held << (5 - bits)));
    }
    text
}

fn digit(value: u32) -> char {
    char::from(DIGITS[usize::try_from(value & 31).unwrap_or(0)])
}

/// The `N` bytes that [`encode`] wrote as `text`; nothing for any other text.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (mut held, mut bits) = (0_u32, 0_u32);
    let mut bytes = Vec::with_capacity(N);
    for digit in text.bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        held = (held << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
        if bytes.len() > N {
            return None;
        }
    }
    let bytes: [u8; N] = bytes.try_into().ok()?;
    // One form alone: the bits that are left over are zero.
    (encode(&bytes) == text).then_some(bytes)
}

/// The text of a cluster's number, as it stands in certificates: 26 letters and digits.
///
/// # Panics
/// Never: such a text is a [`ClusterId`].
#[must_use]
pub fn cluster_id(cluster: u128) -> ClusterId {
    encode(&cluster.to_be_bytes()).parse().expect("26 lower-case letters and digits are a cluster id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        assert_eq!(encode(b"foobar"), "mzxw6ytboi");
        assert_eq!(decode::<6>("mzxw6ytboi"), Some(*b"foobar"));
        for other in ["", "mzxw6ytbo", "mzxw6ytboj", "MZXW6YTBOI", "mzxw6ytboi=", "mzxw6ytboiaa", "mzxw6ytbo1"] {
            assert_eq!(decode::<6>(other), None, "{other}");
        }
        let bytes: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 7 % 256).expect("a byte"));
        assert_eq!(decode(&encode(&bytes)), Some(bytes));
    }

    #[test]
    fn a_cluster_number_makes_a_cluster_id() {
        assert_eq!(cluster_id(u128::MAX).to_string().len(), 26);
        assert_ne!(cluster_id(1), cluster_id(2));
    }
}
