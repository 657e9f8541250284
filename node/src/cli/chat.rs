//! `hubbub chat`: rooms, messages, sending and following from a terminal, as the user of a token.
//!
//! It is a client like any other: what it may do is what its user may do.

use std::io::{BufRead, IsTerminal};

use clap::{Args, Subcommand};
use hubbub_client::{Client, Config, RequestError, Update, rest::Rest, rest::RestError};
use hubbub_protocol::{
    event::{Event, EventBody},
    ids::{CommunityId, RoomId},
    message::Message,
    op::Mode,
    rest,
    room::Room,
};
use hubbub_storage::ErrorChain;
use serde_json::json;
use tokio::sync::mpsc;

use super::{failure::Failure, output, reach::Reach};

/// Lines typed that may wait to be sent.
const TYPED_MAX: usize = 32;

/// Talk from a terminal.
#[derive(Debug, Args)]
pub struct Chat {
    /// Which node, as whom.
    #[command(flatten)]
    pub reach: Reach,
    /// Print JSON, a value a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: ChatCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum ChatCommand {
    /// List the rooms of one's communities.
    Rooms,
    /// Show the newest messages of a room.
    Messages {
        /// A room's id, or its name when only one room has it.
        room: String,
        /// How many, 1 to 100.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Send a message.
    Send {
        /// A room's id, or its name when only one room has it.
        room: String,
        /// The text.
        text: String,
    },
    /// Follow a room; lines typed are sent.
    Live {
        /// A room's id, or its name when only one room has it.
        room: String,
    },
}

fn failed(error: &RestError) -> Failure {
    match error {
        RestError::Refused(refusal) => Failure::from(refusal.clone()),
        RestError::Transport { .. } => Failure::NotRunning(ErrorChain(error).to_string()),
        RestError::Unreadable { .. } => Failure::Failed(error.to_string()),
    }
}

fn refused(error: &RequestError) -> Failure {
    match error {
        RequestError::Refused(refusal) => Failure::from(refusal.clone()),
        RequestError::Ended(_) => Failure::Refused(error.to_string()),
        _ => Failure::Failed(error.to_string()),
    }
}

impl Chat {
    /// Carries it out.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self) -> Result<(), Failure> {
        let url = self.reach.url.clone().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        let token = self.reach.token()?;
        let rest = Rest::new(&url).with_token(&token);
        match &self.command {
            ChatCommand::Rooms => self.rooms(&rest).await,
            ChatCommand::Messages { room, limit } => {
                let room = find(&rest, room).await?;
                let history =
                    rest.history(room, &format!("limit={limit}")).await.map_err(|error| failed(&error))?;
                history.messages.iter().for_each(|message| self.show(message));
                Ok(())
            }
            ChatCommand::Send { room, text } => {
                let room = find(&rest, room).await?;
                let (client, _updates) = connect(&rest, &url, &token).await?;
                let sent = client.send(room, text, None).await.map_err(|error| refused(&error))?;
                if self.json {
                    output::json(&sent)
                } else {
                    done(&format!("sent as message {} of {room}", sent.seq))
                }
            }
            ChatCommand::Live { room } => self.live(&rest, &url, &token, find(&rest, room).await?).await,
        }
    }

    async fn rooms(&self, rest: &Rest) -> Result<(), Failure> {
        let rooms = all_rooms(rest).await?;
        if self.json {
            return output::json(&rooms.iter().map(|(_, room)| room).collect::<Vec<_>>());
        }
        let rows: Vec<Vec<String>> = rooms
            .iter()
            .map(|(community, room)| {
                vec![room.id.to_string(), community.clone(), room.name.clone(), room.head.to_string()]
            })
            .collect();
        done(&output::table(&["ROOM", "COMMUNITY", "NAME", "HEAD"], &rows))
    }

    fn show(&self, message: &Message) {
        if self.json {
            return output::line(&json!(message).to_string());
        }
        let text = if message.deleted { "(deleted)" } else { &message.text };
        output::line(&format!("{} {} {}: {text}", message.seq, message.ts, message.by));
    }

    async fn live(&self, rest: &Rest, url: &str, token: &str, room: RoomId) -> Result<(), Failure> {
        let (client, mut updates) = connect(rest, url, token).await?;
        client.subscribe(room, None, Mode::Live).await.map_err(|error| refused(&error))?;
        let mut typed = type_lines();
        loop {
            tokio::select! {
                update = updates.next() => match update {
                    Some(Update::Event(event, bytes)) if self.json => {
                        output::line(&String::from_utf8_lossy(&bytes));
                        drop(event);
                    }
                    Some(Update::Event(event, _)) => output::line(&told(&event)),
                    Some(Update::Disconnected) => output::tell("(the connection was lost; coming back)"),
                    Some(Update::Ended(code)) => {
                        return Err(Failure::Refused(format!("the node ended the session with {code}")));
                    }
                    Some(Update::LaterEvent { json, .. }) if self.json => {
                        output::line(&String::from_utf8_lossy(&json));
                    }
                    Some(Update::Lost { from, to, .. }) => {
                        output::tell(&format!("(events {from} to {to} are no longer kept)"));
                    }
                    Some(Update::Rewound { head, .. }) => {
                        output::tell(&format!("(the room was set back to event {head})"));
                    }
                    Some(Update::Unfollowed { refusal, .. }) => return Err(Failure::from(refusal)),
                    Some(Update::Connected | Update::LaterEvent { .. } | Update::Push(_)) => {}
                    None => return Ok(()),
                },
                line = typed.recv() => match line {
                    Some(line) => {
                        client.send(room, &line, None).await.map_err(|error| refused(&error))?;
                    }
                    // The end of the input ends the talk, once what was sent has been seen.
                    None => return Ok(()),
                },
            }
        }
    }
}

fn done(text: &str) -> Result<(), Failure> {
    output::line(text);
    Ok(())
}

async fn connect(rest: &Rest, url: &str, token: &str) -> Result<(Client, hubbub_client::Updates), Failure> {
    let connected = Client::connect(Config::new(url, token)).await;
    if let Err(RequestError::Late) = connected {
        // A client tries for as long as it is let; a single question tells what keeps it out.
        let _me: serde_json::Value = rest.get("/v1/users/@me").await.map_err(|error| failed(&error))?;
    }
    connected.map_err(|error| refused(&error))
}

async fn all_rooms(rest: &Rest) -> Result<Vec<(String, Room)>, Failure> {
    let mut rooms = Vec::new();
    let communities: rest::Page<rest::Community> =
        rest.get("/v1/communities?limit=100").await.map_err(|error| failed(&error))?;
    for community in communities.items {
        rooms.extend(rooms_of(rest, community.id).await?.into_iter().map(|room| (community.name.clone(), room)));
    }
    Ok(rooms)
}

async fn rooms_of(rest: &Rest, community: CommunityId) -> Result<Vec<Room>, Failure> {
    let (mut rooms, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/communities/{community}/rooms?limit=100{cursor}");
        let page: rest::Page<Room> = rest.get(&path).await.map_err(|error| failed(&error))?;
        rooms.extend(page.items);
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(rooms),
        }
    }
}

/// The room of that id, or the only one of that name.
async fn find(rest: &Rest, room: &str) -> Result<RoomId, Failure> {
    if let Ok(id) = room.parse() {
        return Ok(id);
    }
    let rooms = all_rooms(rest).await?;
    let named: Vec<RoomId> =
        rooms.iter().filter(|(_, known)| known.name == room).map(|(_, known)| known.id).collect();
    match named[..] {
        [one] => Ok(one),
        [] => Err(Failure::NotFound(format!("there is no room `{room}` among yours: see `hubbub chat rooms`"))),
        _ => Err(Failure::Usage(format!("several rooms are called `{room}`: name one by its id"))),
    }
}

fn told(event: &Event) -> String {
    let (seq, ts, by) = (event.seq, event.ts, event.by);
    match &event.body {
        EventBody::MessageCreated(created) => format!("{seq} {ts} {by}: {}", created.text),
        EventBody::MessageEdited { target, text, .. } => format!("{seq} {ts} {by} edited {target}: {text}"),
        other => {
            let target = other.target().map_or_else(String::new, |target| format!(" {target}"));
            format!("{seq} {ts} {by} {}{target}", other.kind().as_str())
        }
    }
}

/// The lines typed, or piped in.
fn type_lines() -> mpsc::Receiver<String> {
    let (sender, typed) = mpsc::channel(TYPED_MAX);
    std::thread::spawn(move || {
        if std::io::stdin().is_terminal() {
            output::tell("type a line to send it; end with ctrl-d");
        }
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    typed
}
