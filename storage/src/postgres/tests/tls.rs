//! TLS to a real server: whom each `sslmode` believes, and what is said of those it does not.

use hubbub_tests::{authority::Authority, postgres::Server};

use crate::{
    LogStore as _, StoreError,
    postgres::{PostgresConfig, PostgresStore, PostgresUrl},
};

async fn open(url: &str) -> Result<PostgresStore, String> {
    let url: PostgresUrl = url.parse().expect("a URL");
    match PostgresStore::open(&url, PostgresConfig::default()).await {
        Ok(store) => Ok(store),
        Err(StoreError::Open(sentence)) => Err(sentence),
        Err(other) => panic!("not a sentence for an operator: {other:?}"),
    }
}

#[tokio::test]
async fn a_server_is_spoken_to_in_tls_as_the_url_says_or_not_at_all() {
    let (server, ours, theirs) = (Server::start(), Authority::new(), Authority::new());
    let url = |rest: &str| format!("{}?{rest}", server.url());
    let by_name = |rest: &str| url(rest).replacen("@127.0.0.1:", "@localhost:", 1);
    let root = |authority: &Authority| authority.file("ca.pem").display().to_string();
    let (ours_root, theirs_root) = (root(&ours), root(&theirs));
    let secret =
        server.url().split_once("hubbub:").and_then(|(_, rest)| rest.split_once('@')).expect("a password").0;
    let refused = async |url: &str, part: &str| {
        let sentence = open(url).await.err().unwrap_or_else(|| panic!("{url} was let through"));
        assert!(sentence.contains(part) && sentence.lines().count() == 1, "{sentence}");
        assert!(!sentence.contains(secret), "{sentence}");
    };
    for mode in ["require", "verify-ca", "verify-full"] {
        let said = "does not speak TLS: set `ssl = on` and a certificate in the server's postgresql.conf";
        refused(&url(&format!("sslmode={mode}")), said).await;
    }

    ours.sign(1);
    server.speak_tls(&ours);
    let of_it = "its certificate must end in the file `sslrootcert`";
    refused(&url("sslmode=verify-full"), of_it).await;
    refused(&url("sslmode=verify-ca"), of_it).await;
    refused(&url(&format!("sslmode=verify-ca&sslrootcert={theirs_root}")), of_it).await;
    refused(&url(&format!("sslmode=verify-full&sslrootcert={theirs_root}")), of_it).await;
    refused(&by_name(&format!("sslmode=verify-full&sslrootcert={ours_root}")), "name the host").await;
    let missing = ours.file("missing.pem").display().to_string();
    refused(&url(&format!("sslmode=verify-full&sslrootcert={missing}")), "is not there").await;
    for url in [
        url("sslmode=require"),
        url("sslmode=prefer"),
        url(&format!("sslmode=verify-ca&sslrootcert={ours_root}")),
        by_name(&format!("sslmode=verify-ca&sslrootcert={ours_root}")),
        url(&format!("sslmode=verify-full&sslrootcert={ours_root}")),
    ] {
        let store = open(&url).await.unwrap_or_else(|sentence| panic!("{url}: {sentence}"));
        store.check_writes().await.expect("a write");
        let plain = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl \
                     JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'hubbub writers%'";
        assert_eq!(server.sql(plain), "1|0", "{url}: its connections are encrypted");
        store.close().await;
        server.sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'hubbub %'",
        );
    }
    let store = open(&url("sslmode=disable")).await.expect("who does not ask for TLS is served without");
    store.close().await;
}
