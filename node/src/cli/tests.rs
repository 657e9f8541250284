//! Operator commands, over the socket of a node and without one.

use clap::Parser;
use serde_json::json;
use tokio::net::UnixListener;

use super::{
    Cli, Command,
    admin_link::AdminLink,
    token::{AccountToken, TokenCommand},
    user::{self, UserCommand},
};
use crate::{
    auth::accounts::NewAccount,
    cli::failure::Failure,
    http::{admin_users::Account, over_socket},
    testing::{PASSWORD, World},
};

fn command(line: &[&str]) -> Command {
    let line = std::iter::once("hubbub").chain(line.iter().copied());
    Cli::try_parse_from(line).expect("a command line").command
}

fn user_command(line: &[&str]) -> UserCommand {
    match command(&[&["user"], line].concat()) {
        Command::User(command) => command,
        other => panic!("{other:?}"),
    }
}

fn token_command(line: &[&str]) -> AccountToken {
    match command(&[&["token"], line].concat()) {
        Command::Token(TokenCommand { account: Some(account), joining: None }) => account,
        other => panic!("{other:?}"),
    }
}

/// Everything an operator does with accounts, and how it is refused.
async fn use_accounts(world: &World, link: &AdminLink) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\r\n")).expect("a writable folder");
    let file = file.to_str().expect("plain text");
    let create = |name: &str| user_command(&["create", name, "--password-file", file, "--owner", "--json"]);
    create("root").run(link).await.expect("a new account");
    let login = json!({"name": "root", "password": PASSWORD});
    let root = world.ask("POST", "/v1/auth/login").json(&login).await;
    assert_eq!(root.status, 200, "the end of the line is no part of the password");
    let me = world.ask("GET", "/v1/users/@me").by(&root.body).send().await;
    assert_eq!(me.body["owner"], true);
    assert_eq!(world.app.auth.setup_token().await.expect("the store works"), None);

    let exit = |done: Result<(), Failure>| done.expect_err("refused").exit_code();
    assert_eq!(exit(create("root").run(link).await), 6, "the name is taken");
    assert_eq!(exit(create("Root").run(link).await), 2, "no name");
    let missing = user_command(&["create", "eve", "--password-file", "/nonexistent"]);
    assert_eq!(exit(missing.run(link).await), 1);
    assert_eq!(exit(user_command(&["disable", "nobody"]).run(link).await), 5);
    assert_eq!(exit(token_command(&["nobody"]).begin(link).await), 5);

    user_command(&["create", "bot"]).run(link).await.expect("a new account");
    token_command(&["bot", "--device", "backup"]).begin(link).await.expect("a token");
    token_command(&["bot", "--json"]).begin(link).await.expect("a token");
    user_command(&["list"]).run(link).await.expect("a list");
    user_command(&["list", "--all", "--json"]).run(link).await.expect("a list");
    user_command(&["disable", "bot"]).run(link).await.expect("disabled");
    let bot: Account = user::find(link, "bot").await.expect("the account");
    assert!(bot.disabled);
    assert_eq!(exit(token_command(&["bot"]).begin(link).await), 4, "disabled");
}

#[tokio::test]
async fn accounts_are_run_without_a_node() {
    let world = World::new().await;
    let link = AdminLink::Here(Box::new(over_socket(&world.app)));
    use_accounts(&world, &link).await;
}

#[tokio::test]
async fn accounts_are_run_over_the_socket_of_a_node() {
    let world = World::new().await;
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let socket = folder.path().join("admin.sock");
    assert!(AdminLink::to_running(&socket).await.expect("nothing is wrong").is_none());
    let listener = UnixListener::bind(&socket).expect("a socket");
    let serving = tokio::spawn(axum::serve(listener, over_socket(&world.app)).into_future());
    let link = AdminLink::to_running(&socket).await.expect("nothing is wrong").expect("a node");
    use_accounts(&world, &link).await;
    serving.abort();
    // The listener goes with its task.
    assert!(serving.await.is_err());
    assert!(AdminLink::to_running(&socket).await.expect("nothing is wrong").is_none());
    let gone = user_command(&["list"]).run(&link).await.expect_err("it has gone");
    assert_eq!(gone.exit_code(), 3);
}

#[tokio::test]
async fn many_accounts_are_listed_page_by_page() {
    let world = World::new().await;
    for number in 0..101 {
        let account = NewAccount { name: format!("user{number}"), ..NewAccount::default() };
        world.app.auth.create(account).await.expect("a new account");
    }
    let link = AdminLink::Here(Box::new(over_socket(&world.app)));
    let all = user::accounts(&link, false).await.expect("the accounts");
    assert_eq!(all.len(), 101);
}

#[test]
fn tokens_of_nodes_and_of_accounts_share_a_word() {
    let joining = |line: &[&str]| match command(line) {
        Command::Token(TokenCommand { joining, account }) => {
            (joining.is_some(), account.map(|account| account.name))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(joining(&["token", "create", "--role", "voter", "--ttl", "2h", "--uses", "3"]), (true, None));
    assert_eq!(joining(&["token", "list", "--json"]), (true, None));
    assert_eq!(joining(&["token", "drop", "abc"]), (true, None));
    assert_eq!(joining(&["token", "ada", "--json"]), (false, Some("ada".to_owned())));
    let UserCommand::Token(account) = user_command(&["token", "create"]) else { panic!("an account's token") };
    assert_eq!(account.name, "create", "an account of that name is reached all the same");
    assert!(Cli::try_parse_from(["hubbub", "token"]).is_err(), "neither");
}
