//! Members that were off for longer than their certificates live.

use hubbub_cluster::identity::validity;

use super::*;

/// Puts a certificate in place that ended yesterday, as one does on a node that was off for eight days.
fn was_off(seat: &Seat, founder: &Member) {
    let member = member_of(seat);
    let (cluster, ca) = founder.cluster.facts(|control| (control.cluster, control.ca.clone()));
    let sealing = founder.membership.sealing.as_ref().expect("a founder may vote");
    let authority = sealing.open_authority(cluster, &ca).expect("it is the cluster's");
    let (request, then) = (member.key().expect("its own").request(), OffsetDateTime::now_utc() - DAY * 8);
    let old = authority.sign_request(member.node, &request.expect("a request"), then).expect("signed");
    member.keeper()(&old).expect("kept");
    assert!(member_of(seat).ended(OffsetDateTime::now_utc()).is_some(), "it has ended");
}

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_off_too_long_is_told_to_join_again_and_keeps_its_number() {
    let ada = Seat::member();
    let bob = ada.beside();
    ada.run(&["init", "--name", "ada"]).await.expect("an empty database");
    let first = ada.serve().await;
    let token = first.desk.create_token(Role::Worker, 2, PATIENCE).await.expect("it leads");
    bob.join(&token, &ada, "bob").await.expect("admitted");
    let number = member_of(&bob).node;
    let again = bob.join(&token, &ada, "bob").await.expect_err("its certificate is good");
    assert!(again.to_string().contains("is that of a member (node"), "{again}");
    was_off(&bob, &first);

    let data = DataDir::hold(&bob.data()).expect("nobody holds it");
    let membership = Membership::load(&data).expect("whole").expect("a member's");
    let ended = membership.ended(OffsetDateTime::now_utc()).expect("it has ended").date();
    let refused = Member::start(membership, &bob.config().cluster, Arc::new(SystemClock)).await;
    let refused = refused.expect_err("no member lets it in");
    let sentence = format!(
        "this node's certificate ended on {ended}, and no member lets it in: if this machine's clock is right, make a \
         token with `hubbub token create` on a member, and run `hubbub join` with it over this --data-dir; node \
         {number} keeps its number"
    );
    assert_eq!((refused.exit_code(), refused.to_string()), (4, sentence));
    drop(data);

    bob.moves();
    bob.join(&token, &ada, "ignored").await.expect("as the sentence says");
    let second = bob.serve().await;
    assert_eq!((second.membership.node, second.membership.name.as_str()), (number, "bob"));
    let uses = first.desk.tokens().await.expect("it leads").into_iter().find(|told| told.id == token.id());
    assert_eq!(uses.map(|told| told.uses_left), Some(1), "it was let in once");
    for member in [first, second] {
        member.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_was_off_too_long_signs_its_own_certificate() {
    let ada = Seat::member();
    ada.run(&["init"]).await.expect("an empty database");
    let first = ada.serve().await;
    was_off(&ada, &first);
    first.close().await;
    drop(first);
    ada.moves();
    let again = ada.serve().await;
    let (_, end) = validity(&shown_by(&ada)).expect("a certificate");
    assert!(end > OffsetDateTime::now_utc() + DAY * 6, "it is good for a week: {end}");
    again.close().await;
}

/// The certificate that stands in the directory of a node that runs.
fn shown_by(seat: &Seat) -> rustls::pki_types::CertificateDer<'static> {
    membership::certificates(&seat.data()).0.expect("a certificate")
}
