//! What a client does about a connection that is over, by the code it was closed with: a table.

use hubbub_protocol::error::CloseCode;

use crate::socket::SocketError;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Connect again and go on with the session.
    Resume,
    /// Get another token, connect again and go on with the session.
    RenewToken,
    /// Connect again and begin another session.
    Identify,
    /// End with this code: the node would say the same again.
    End(u16),
}

/// What the end of a connection means. Codes we do not know are taken for accidents.
pub(crate) fn verdict(error: &SocketError) -> Verdict {
    let SocketError::Closed(code) = error else { return Verdict::Resume };
    let is = |known: CloseCode| *code == known.code();
    if is(CloseCode::TokenRefused) || is(CloseCode::SignedOut) || is(CloseCode::TakenUp) {
        Verdict::End(*code)
    } else if is(CloseCode::TokenExpired) {
        Verdict::RenewToken
    } else if is(CloseCode::SessionUnknown) {
        Verdict::Identify
    } else {
        Verdict::Resume
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_close_code_has_its_remedy() {
        let of = |code| verdict(&SocketError::Closed(code));
        for code in [1000, 1001, 1006, 1009, 1012, 4001, 4002, 4003, 4008, 4009, 4012, 4999] {
            assert_eq!(of(code), Verdict::Resume, "{code}");
        }
        for code in [4004, 4010, 4011] {
            assert_eq!(of(code), Verdict::End(code));
        }
        assert_eq!(of(4005), Verdict::RenewToken);
        assert_eq!(of(4007), Verdict::Identify);
        assert_eq!(verdict(&SocketError::Silent), Verdict::Resume);
    }
}
