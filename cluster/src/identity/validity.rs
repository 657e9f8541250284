//! When a certificate begins and ends, read out of its DER: RFC 5280, section 4.1.

use rustls::pki_types::CertificateDer;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version of a certificate: context tag 0.
const VERSION: u8 = 0xa0;

/// The begin and the end of `certificate`; `None` for bytes that are none.
#[must_use]
pub fn validity(certificate: &CertificateDer<'_>) -> Option<(OffsetDateTime, OffsetDateTime)> {
    let (_, outer, _) = element(certificate, SEQUENCE)?;
    let (_, mut rest, _) = element(outer, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        (_, _, rest) = element(rest, VERSION)?;
    }
    // Number, algorithm of the signature, issuer: in this order, before the validity.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, _, rest) = element(rest, tag)?;
    }
    let (_, times, _) = element(rest, SEQUENCE)?;
    let (begin, rest) = moment(times)?;
    let (end, _) = moment(rest)?;
    Some((begin, end))
}

/// Takes one element with `tag`: the tag, its content, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(u8, &[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = if short < 0x80 {
        (usize::from(short), rest)
    } else {
        let (long, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
        if long.len() > 4 {
            return None;
        }
        (long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    (found == tag).then_some((found, content, rest))
}

fn moment(bytes: &[u8]) -> Option<(OffsetDateTime, &[u8])> {
    let tag = *bytes.first()?;
    let (_, content, rest) = element(bytes, tag)?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (year, text) = match tag {
        UTC_TIME => {
            let (year, text) = text.split_at_checked(2)?;
            let year: i32 = year.parse().ok()?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, text)
        }
        GENERALIZED_TIME => {
            let (year, text) = text.split_at_checked(4)?;
            (year.parse().ok()?, text)
        }
        _ => return None,
    };
    let part = |at: usize| text.get(at..at + 2)?.parse::<u8>().ok();
    let date = Date::from_calendar_date(year, Month::try_from(part(0)?).ok()?, part(2)?).ok()?;
    let time = Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?;
    Some((PrimitiveDateTime::new(date, time).assume_utc(), rest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hubbub_protocol::ids::NodeId;

    use super::*;
    use crate::identity::Authority;

    #[test]
    fn the_times_of_a_certificate_are_those_it_was_made_with() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        let authority = Authority::new("c1".parse().expect("plain"), now).expect("made");
        let hour = Duration::from_hours(1);
        let made = authority.issue_until(NodeId(1), now, now + hour).expect("issued");
        let (begin, end) = validity(&made.certificate).expect("a certificate");
        assert!(begin <= now && now - begin < hour, "{begin}");
        assert_eq!(end, now + hour);
        let (_, end) = validity(authority.root()).expect("a certificate");
        assert!(end > now + hour * 24 * 3_000);
        let bytes = made.certificate.to_vec();
        for cut in 0..bytes.len().min(200) {
            assert_eq!(validity(&bytes[..cut].to_vec().into()), None, "{cut}");
        }
    }
}
