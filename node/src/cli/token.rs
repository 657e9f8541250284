//! `hubbub token`: tokens that let nodes join the cluster, and tokens of an account, for programs.
//!
//! `hubbub token create|list|drop` are about nodes. `hubbub token NAME`, also `hubbub user token NAME`, is about the
//! account NAME: its standard output gets the access token alone, so that `TOKEN=$(hubbub token ada)` works; `--json`
//! prints what signing in answers, the refresh token included. An account that is called `create`, `list` or `drop` is
//! reached by `hubbub user token`.

use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use hubbub_protocol::rest::{Page, SignedIn};

use super::{Linked, admin_link::AdminLink, failure::Failure, output, reach::Reach, user::find};
use crate::{
    config::{NodeConfig, units},
    http::{
        admin_cluster::{CreateJoinToken, JoinTokenFacts, MadeJoinToken, TokenRole},
        admin_users::CreateToken,
    },
};

/// Options of `token`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TokenCommand {
    /// What to do with the tokens that let nodes join.
    #[command(subcommand)]
    pub joining: Option<JoinTokenCommand>,
    /// The account.
    #[command(flatten)]
    pub account: Option<AccountToken>,
}

/// A token of an account.
#[derive(Debug, Args)]
pub struct AccountToken {
    /// The account's name.
    pub name: String,
    /// What the session is called in the account's list.
    #[arg(long, default_value = "api")]
    pub device: String,
    /// Print all of the sign-in as JSON: user, access token, refresh token, seconds to live.
    #[arg(long)]
    pub json: bool,
}

/// What to do with the tokens that let nodes join.
#[derive(Debug, Subcommand)]
pub enum JoinTokenCommand {
    /// Make a token that lets nodes join; it is printed once, and kept as a hash.
    Create(Create),
    /// List the tokens, without their secrets.
    List(List),
    /// Take a token back.
    Drop(Drop),
}

/// Options of `token create`.
#[derive(Debug, Args)]
pub struct Create {
    /// What the node may become: a worker serves, a voter also keeps the cluster together.
    #[arg(long, value_enum, default_value = "worker")]
    pub role: TokenRole,
    /// How long it is good for.
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub ttl: String,
    /// How many nodes it admits.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub uses: u32,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `token list`.
#[derive(Debug, Args)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `token drop`.
#[derive(Debug, Args)]
pub struct Drop {
    /// Its id, as `token list` shows it; the whole token does too.
    pub id: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl TokenCommand {
    /// Carries it out on the node of `data_dir`.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, data_dir: &Path, config: &NodeConfig) -> Result<(), Failure> {
        match (self.joining, self.account) {
            (Some(joining), _) => joining.run(data_dir).await,
            (None, Some(account)) => account.run(data_dir, config).await,
            (None, None) => Err(Failure::Usage("name an account, or `create`, `list` or `drop`".to_owned())),
        }
    }
}

impl AccountToken {
    /// Begins a session on the node of `data_dir`, running or not, and prints its token.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, data_dir: &Path, config: &NodeConfig) -> Result<(), Failure> {
        let link = Linked::to(data_dir, config).await?;
        let done = self.begin(&link.link).await;
        link.end(done).await
    }

    /// The same over `link`.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn begin(self, link: &AdminLink) -> Result<(), Failure> {
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

impl JoinTokenCommand {
    async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let (link, _) = Reach::here().running(data_dir, "start a member with `hubbub serve`").await?;
        match self {
            Self::Create(options) => create(options, &link).await,
            Self::List(options) => list(&options, &link).await,
            Self::Drop(options) => drop_token(&options, &link).await,
        }
    }
}

async fn create(options: Create, link: &AdminLink) -> Result<(), Failure> {
    let wrong = || Failure::Usage(format!("--ttl `{}` is no time such as `1h`, `30min` or `7 days`", options.ttl));
    let ttl = units::time(&options.ttl).ok_or_else(wrong)?;
    let ttl_ms = u64::try_from(ttl.as_millis()).map_err(|_| wrong())?;
    let body = CreateJoinToken { role: options.role, uses: options.uses, ttl_ms };
    let made: MadeJoinToken = link.post("/v1/admin/join-tokens", &body).await?;
    if options.json {
        return output::json(&made);
    }
    output::line(&made.token);
    Ok(())
}

async fn list(options: &List, link: &AdminLink) -> Result<(), Failure> {
    let tokens: Page<JoinTokenFacts> = link.get("/v1/admin/join-tokens").await?;
    if options.json {
        return output::json(&tokens.items);
    }
    let row = |token: &JoinTokenFacts| {
        let role = token.role.to_possible_value().map_or_else(String::new, |role| role.get_name().to_owned());
        let state = if token.admits { "" } else { "over" };
        vec![token.id.clone(), role, token.uses_left.to_string(), token.expires_at.to_string(), state.to_owned()]
    };
    let rows: Vec<_> = tokens.items.iter().map(row).collect();
    output::line(&output::table(&["ID", "ROLE", "USES LEFT", "UNTIL", "STATE"], &rows));
    Ok(())
}

async fn drop_token(options: &Drop, link: &AdminLink) -> Result<(), Failure> {
    // Of a whole token only the id goes on the way.
    let id = options.id.split('.').nth(2).unwrap_or(&options.id);
    let path = format!(
        "/v1/admin/join-tokens/{}/drop",
        form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>()
    );
    let dropped: JoinTokenFacts = link.post(&path, &serde_json::json!({})).await?;
    if options.json {
        return output::json(&dropped);
    }
    output::line(&format!("token {} admits nobody any more", dropped.id));
    Ok(())
}
