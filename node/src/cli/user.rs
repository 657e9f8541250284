//! `hubbub user create|list|disable`: accounts from the command line.

use std::{io::Read, path::PathBuf};

use clap::{Args, Subcommand};
use hubbub_protocol::rest::Page;
use serde_json::json;

use super::{admin_link::AdminLink, failure::Failure, output, token::AccountToken};
use crate::http::admin_users::{Account, CreateUser};

/// Largest password file, in bytes: 256 characters of four bytes and the end of a line fit.
const PASSWORD_FILE_BYTES_MAX: u64 = 2_048;
/// Accounts fetched at once.
const PAGE: usize = 100;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account.
    Create(Create),
    /// List the accounts.
    List(List),
    /// Disable an account: it cannot sign in again, and its sessions end at once.
    Disable(Disable),
    /// Make an API token of an account; the same as `hubbub token NAME`.
    Token(AccountToken),
}

/// Options of `user create`.
#[derive(Debug, Args)]
pub struct Create {
    /// 3 to 32 of a-z, 0-9, _, . and -.
    pub name: String,
    /// File with the password on its only line; `-` reads standard input. Without it nobody can
    /// sign in by password, only with tokens of `hubbub token`.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The name that is shown, instead of NAME.
    #[arg(long)]
    pub display: Option<String>,
    /// A mail address.
    #[arg(long)]
    pub email: Option<String>,
    /// Make it an owner of this installation.
    #[arg(long)]
    pub owner: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `user list`.
#[derive(Debug, Args)]
pub struct List {
    /// List those too that stand for authors of an archive.
    #[arg(long)]
    pub all: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `user disable`.
#[derive(Debug, Args)]
pub struct Disable {
    /// The account's name.
    pub name: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl UserCommand {
    /// Carries it out over `link`.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, link: &AdminLink) -> Result<(), Failure> {
        match self {
            Self::Create(options) => create(options, link).await,
            Self::List(options) => list(&options, link).await,
            Self::Disable(options) => disable(&options, link).await,
            Self::Token(options) => options.begin(link).await,
        }
    }
}

/// The password in a file, without the end of its line.
fn read_password(path: &PathBuf) -> Result<String, Failure> {
    let unread = |error: std::io::Error| Failure::Failed(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(unread)?)
    };
    let mut source = source.take(PASSWORD_FILE_BYTES_MAX);
    source.read_to_string(&mut text).map_err(unread)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

async fn create(options: Create, link: &AdminLink) -> Result<(), Failure> {
    let password = options.password_file.as_ref().map(read_password);
    let body = CreateUser {
        name: options.name,
        password: password.transpose()?,
        display: options.display,
        email: options.email,
        owner: options.owner,
    };
    let made: Account = link.post("/v1/admin/users", &body).await?;
    if options.json {
        return output::json(&made);
    }
    output::line(&format!("made account {} ({})", made.user.name, made.user.id));
    Ok(())
}

/// The account of that name.
///
/// # Errors
/// [`Failure::NotFound`], and those of the link.
pub async fn find(link: &AdminLink, name: &str) -> Result<Account, Failure> {
    let query = serde_urlencoded::to_string([("name", name)]).unwrap_or_default();
    let found: Page<Account> = link.get(&format!("/v1/admin/users?{query}")).await?;
    let none = || Failure::NotFound(format!("there is no account `{name}`"));
    found.items.into_iter().next().ok_or_else(none)
}

fn state(account: &Account) -> &'static str {
    match (account.disabled, account.imported, account.owner) {
        (true, ..) => "disabled",
        (_, true, _) => "imported",
        (.., true) => "owner",
        _ => "",
    }
}

/// All accounts by id; those that stand for authors of an archive only when asked for.
///
/// # Errors
/// Those of the link.
pub async fn accounts(link: &AdminLink, imported: bool) -> Result<Vec<Account>, Failure> {
    let mut accounts: Vec<Account> = Vec::new();
    let mut path = format!("/v1/admin/users?limit={PAGE}");
    loop {
        let page: Page<Account> = link.get(&path).await?;
        accounts.extend(page.items.into_iter().filter(|account| imported || !account.imported));
        match page.next {
            Some(next) => path = format!("/v1/admin/users?limit={PAGE}&cursor={next}"),
            None => return Ok(accounts),
        }
    }
}

async fn list(options: &List, link: &AdminLink) -> Result<(), Failure> {
    let accounts = accounts(link, options.all).await?;
    if options.json {
        return output::json(&accounts);
    }
    let row = |account: &Account| {
        let user = &account.user;
        let made = user.created_at.to_string();
        let text = |text: &str| text.to_owned();
        vec![text(&user.name), user.id.to_string(), text(state(account)), made, text(&user.display)]
    };
    let rows: Vec<_> = accounts.iter().map(row).collect();
    let heads = ["NAME", "ID", "STATE", "MADE", "DISPLAY"];
    output::line(&output::table(&heads, &rows));
    Ok(())
}

async fn disable(options: &Disable, link: &AdminLink) -> Result<(), Failure> {
    let account = find(link, &options.name).await?;
    let path = format!("/v1/admin/users/{}/disable", account.user.id);
    let disabled: Account = link.post(&path, &json!({})).await?;
    if options.json {
        return output::json(&disabled);
    }
    output::line(&format!("disabled account {}", disabled.user.name));
    Ok(())
}
