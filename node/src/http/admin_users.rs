//! Accounts, as an operator sees them: over the node's own socket, or as an owner.

use axum::{Json, extract::State, http::StatusCode};
use hubbub_actors::peers::Fact;
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::UserId,
    rest::{self, Page},
};
use hubbub_storage::facts::User;
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::{ApiJson, MaybeJson},
    error::{ApiResult, ErrorBody},
    path::ApiPath,
    query::{ApiQuery, PageQuery, page},
    signed_in::Operator,
};
use crate::{
    auth::{accounts::NewAccount, sessions::shown},
    state::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(disable)).routes(routes!(token))
}

/// An account, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Account {
    /// What everyone sees.
    #[serde(flatten)]
    pub user: rest::User,
    /// Its mail address.
    pub email: Option<String>,
    /// Whether it owns this installation.
    pub owner: bool,
    /// Whether it may no longer sign in.
    pub disabled: bool,
    /// Whether it stands for an author of an archive.
    pub imported: bool,
}

impl From<&User> for Account {
    fn from(user: &User) -> Self {
        Self {
            user: shown(user),
            email: user.email.clone(),
            owner: user.owner,
            disabled: user.disabled,
            imported: user.imported,
        }
    }
}

/// `POST /v1/admin/users`.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// 3–32 of `a-z 0-9 _ . -`.
    pub name: String,
    /// At least 10 characters; without one nobody can sign in by password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The name that is shown; `name` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// A mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether it owns this installation.
    #[serde(default)]
    pub owner: bool,
}

impl std::fmt::Debug for CreateUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateUser").field("name", &self.name).field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl From<CreateUser> for NewAccount {
    fn from(body: CreateUser) -> Self {
        Self {
            name: body.name,
            password: body.password,
            display: body.display,
            email: body.email,
            owner: body.owner,
        }
    }
}

/// `POST /v1/admin/users/{id}/token`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What the session is called in the user's list; `api` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// The query of the list of accounts.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct AccountsQuery {
    /// Only the account of this name.
    name: Option<String>,
    /// How many items, 1 to 100; 50 when absent.
    limit: Option<i64>,
    /// Where to go on: `next` of the page before.
    cursor: Option<String>,
}

/// Accounts by id; those that stand for an archive's authors included.
#[utoipa::path(
    get, path = "/v1/admin/users", tag = "admin", params(AccountsQuery),
    responses(
        (status = 200, description = "Accounts", body = Page<Account>),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn list(
    State(app): State<App>,
    _: Operator,
    ApiQuery(query): ApiQuery<AccountsQuery>,
) -> ApiResult<Json<Page<Account>>> {
    if let Some(name) = &query.name {
        let user = app.store().user_by_name(name).await?;
        let items = user.iter().map(Account::from).collect();
        return Ok(Json(Page { items, next: None }));
    }
    let paging = PageQuery { limit: query.limit, cursor: query.cursor };
    let (limit, after) = (paging.limit()?, paging.after()?);
    let users = app.store().list_users(after, limit + 1).await?;
    let accounts = users.iter().map(Account::from).collect();
    Ok(Json(page(accounts, limit, |account: &Account| account.user.id)))
}

/// Makes an account, whatever the mode of registration.
#[utoipa::path(
    post, path = "/v1/admin/users", tag = "admin", request_body = CreateUser,
    responses(
        (status = 201, description = "The account", body = Account),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 409, description = "`conflict`: the name is taken", body = ErrorBody),
    )
)]
async fn create(
    State(app): State<App>,
    _: Operator,
    ApiJson(body): ApiJson<CreateUser>,
) -> ApiResult<(StatusCode, Json<Account>)> {
    let user = app.auth.create(body.into()).await?;
    Ok((StatusCode::CREATED, Json((&user).into())))
}

/// Disables an account: it cannot sign in again, and its sessions end at once.
#[utoipa::path(
    post, path = "/v1/admin/users/{id}/disable", tag = "admin", params(("id" = UserId, Path)),
    responses(
        (status = 200, description = "The account", body = Account),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn disable(State(app): State<App>, _: Operator, ApiPath(id): ApiPath<UserId>) -> ApiResult<Json<Account>> {
    let user = app.auth.disable(id).await?;
    app.hub.changed(vec![Fact::User(id)]).await;
    Ok(Json((&user).into()))
}

/// Begins a session for an account and gives its tokens, for programs.
#[utoipa::path(
    post, path = "/v1/admin/users/{id}/token", tag = "admin", params(("id" = UserId, Path)),
    request_body = CreateToken,
    responses(
        (status = 201, description = "Signed in", body = rest::SignedIn),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`, also when the account is disabled", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn token(
    State(app): State<App>,
    _: Operator,
    ApiPath(id): ApiPath<UserId>,
    MaybeJson(body): MaybeJson<CreateToken>,
) -> ApiResult<(StatusCode, Json<rest::SignedIn>)> {
    let user = app.store().user(id).await?;
    let user = user.ok_or_else(|| Refusal::not_found("user"))?;
    if user.disabled {
        return Err(Refusal::new(ErrorCode::Forbidden, "the account is disabled").into());
    }
    let device = body.device.as_deref().unwrap_or("api");
    let signed = app.auth.begin(&user, device).await?;
    Ok((StatusCode::CREATED, Json(signed)))
}
