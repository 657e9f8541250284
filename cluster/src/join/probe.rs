//! Bytes as they come from a joiner, or to the leader's desk, for tests and fuzzing.

use hubbub_protocol::{
    codec,
    peer::{Envelope, PeerMessage as _},
};

use super::{
    Application,
    answer::{Judged, Renewed, TokensTold},
    door::KNOCK_BYTES_MAX,
    limits::{ANSWER_BYTES_MAX, APPLICATION_BYTES_MAX},
    request::{FORM, Knock, Knocked, RenewalWanted, TokensWanted},
};

/// Whether it is a well-formed message to the desk, or from it.
pub(crate) fn desk(envelope: &Envelope) -> bool {
    match envelope.kind {
        Knocked::KIND => envelope.probe::<Knocked>(),
        RenewalWanted::KIND => envelope.probe::<RenewalWanted>(),
        TokensWanted::KIND => envelope.probe::<TokensWanted>(),
        Judged::KIND => envelope.probe::<Judged>(),
        Renewed::KIND => envelope.probe::<Renewed>(),
        TokensTold::KIND => envelope.probe::<TokensTold>(),
        _ => false,
    }
}

/// Reads bytes as a knock with its application, and as the answer to one.
pub(crate) fn door(bytes: &[u8]) -> bool {
    let knock = codec::probe::<KNOCK_BYTES_MAX, Knock>(FORM, bytes);
    if let Some(Knock { application, .. }) = &knock {
        let _ = codec::probe::<APPLICATION_BYTES_MAX, Application>(FORM, application);
    }
    knock.is_some() || codec::probe::<ANSWER_BYTES_MAX, Judged>(FORM, bytes).is_some()
}

/// A knock.
pub(crate) fn knock() -> Vec<u8> {
    let token = crate::control::TokenId(5);
    let application = Application { token, request: vec![0x30, 1], about: crate::control::samples::member(2) };
    let application = application.to_bytes().expect("small");
    codec::encode::<KNOCK_BYTES_MAX>(FORM, &Knock { application, proof: vec![7; 32] }).expect("small")
}
