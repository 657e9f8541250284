//! `hubbub token NAME`: tokens of an account, for programs.
//!
//! Standard output gets the access token alone, so that `TOKEN=$(hubbub token ada)` works; `--json`
//! prints what signing in answers, the refresh token included.

use clap::Args;
use hubbub_protocol::rest::SignedIn;

use super::{admin_link::AdminLink, failure::Failure, output, user::find};
use crate::http::admin_users::CreateToken;

/// Options of `token`.
#[derive(Debug, Args)]
pub struct TokenCommand {
    /// The account's name.
    pub name: String,
    /// What the session is called in the account's list.
    #[arg(long, default_value = "api")]
    pub device: String,
    /// Print all of the sign-in as JSON: user, access token, refresh token, seconds to live.
    #[arg(long)]
    pub json: bool,
}

impl TokenCommand {
    /// Begins a session over `link` and prints its token.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, link: &AdminLink) -> Result<(), Failure> {
        let account = find(link, &self.name).await?;
        let path = format!("/v1/admin/users/{}/token", account.user.id);
        let body = CreateToken { device: Some(self.device) };
        let signed: SignedIn = link.post(&path, &body).await?;
        if self.json {
            return output::json(&signed);
        }
        output::line(&signed.access_token);
        Ok(())
    }
}
