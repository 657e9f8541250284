//! What debug output shows of bodies that carry passwords and tokens: that they are there, not what
//! they are. A body ends up in a log or a failed test sooner or later.

use std::fmt;

use super::{Login, Refresh, Register, Setup, SignedIn, UpdateMe};

/// Stands for what is not shown.
struct Masked;

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn maybe(secret: Option<&String>) -> Option<Masked> {
    secret.map(|_| Masked)
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, password: _, display, email, invite } = self;
        let mut shown = f.debug_struct("Register");
        shown.field("name", name).field("password", &Masked).field("display", display).field("email", email);
        shown.field("invite", &maybe(invite.as_ref())).finish()
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token: _, name, password: _, display } = self;
        let mut shown = f.debug_struct("Setup");
        shown.field("token", &Masked).field("name", name).field("password", &Masked);
        shown.field("display", display).finish()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, password: _, totp } = self;
        let mut shown = f.debug_struct("Login");
        shown.field("name", name).field("password", &Masked).field("totp", &maybe(totp.as_ref())).finish()
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { refresh_token } = self;
        f.debug_struct("Refresh").field("refresh_token", &maybe(refresh_token.as_ref())).finish()
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, access_token: _, refresh_token: _, expires_in } = self;
        let mut shown = f.debug_struct("SignedIn");
        shown.field("user", user).field("access_token", &Masked).field("refresh_token", &Masked);
        shown.field("expires_in", expires_in).finish()
    }
}

impl fmt::Debug for UpdateMe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { display, email, password, current_password } = self;
        let mut shown = f.debug_struct("UpdateMe");
        shown.field("display", display).field("email", email).field("password", &maybe(password.as_ref()));
        shown.field("current_password", &maybe(current_password.as_ref())).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Serialize, de::DeserializeOwned};

    use super::*;

    /// What debug output shows of a body, after it has gone through JSON and back unchanged.
    fn shown<T: Serialize + DeserializeOwned + fmt::Debug>(json: &str) -> String {
        let body: T = serde_json::from_str(json).expect(json);
        assert_eq!(serde_json::to_string(&body).expect("plain data"), json, "masking is for debug output alone");
        format!("{body:?} {body:#?}")
    }

    #[test]
    fn debug_output_of_a_body_shows_no_password_and_no_token() {
        let user = r#"{"id":"0000000000001","name":"ada","display":"Ada","avatar":null,"created_at":"2026-11-22T12:00:00.000Z"}"#;
        let signed =
            format!(r#"{{"user":{user},"access_token":"hush1","refresh_token":"hush2","expires_in":900}}"#);
        for shown in [
            shown::<Register>(r#"{"name":"ada","password":"hush1","invite":"hush2"}"#),
            shown::<Setup>(r#"{"token":"hush1","name":"ada","password":"hush2"}"#),
            shown::<Login>(r#"{"name":"ada","password":"hush1","totp":"hush2"}"#),
            shown::<Refresh>(r#"{"refresh_token":"hush1"}"#),
            shown::<SignedIn>(&signed),
            shown::<UpdateMe>(r#"{"display":"ada","password":"hush1","current_password":"hush2"}"#),
        ] {
            assert!(!shown.contains("hush"), "{shown}");
            assert!(shown.contains("***"), "that there is one is shown: {shown}");
        }
        assert!(shown::<Refresh>("{}").contains("None"), "that there is none is shown too");
    }
}
