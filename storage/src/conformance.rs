//! What every store promises, as cases: each store passes all of them, unchanged.
//!
//! A case gets an empty store and acts as owners, nodes and handlers do. It knows only the traits, so
//! it says what the product relies on and nothing about how a store comes by it.
//! [`conformance_tests!`](crate::conformance_tests) makes one test of each case.
//!
//! # Invariants
//!
//! * A case uses no clock and no dice but its own, and nothing that another case left.
//! * Where the traits leave a choice (equal times in a list, say), no case looks.

pub mod accounts;
pub mod append;
pub mod communities;
pub mod fence;
pub mod fold;
pub mod history;
pub mod invites;
pub mod keys;
pub mod markers;
pub mod race;
pub mod random;
pub mod rooms;
pub mod sessions;
mod world;

/// Makes a test of every case, for a store that `$fresh` makes: an `async fn` beside the call that
/// returns an empty store as `Arc<dyn Store>`, and whatever has to live as long as the store does.
///
/// ```text
/// async fn fresh() -> (Arc<dyn Store>, tempfile::TempDir) { ... }
/// hubbub_storage::conformance_tests!(fresh);
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($fresh:ident) => {
        $crate::conformance_tests! { @cases $fresh;
            fence:
                a_shard_never_activated_takes_no_append,
                an_owner_of_an_older_epoch_is_fenced_and_writes_nothing,
                an_epoch_that_nobody_activated_is_fenced_and_writes_nothing,
                a_head_that_is_another_conflicts_and_writes_nothing,
                of_a_batch_only_the_shards_still_owned_are_appended,
                epochs_only_rise_and_the_head_stays,
                the_next_owner_goes_on_where_the_last_one_ended,
            ;
            race:
                each_head_counts_every_append_accepted_before,
                of_equal_epochs_one_is_activated,
                a_batch_sent_twice_at_once_is_written_once,
                shards_append_side_by_side,
            ;
            append:
                rooms_and_feeds_are_dense_and_in_order,
                feeds_and_rooms_are_read_in_pages_without_a_gap,
                every_kind_of_event_comes_back_byte_for_byte,
                a_large_batch_is_taken_whole,
                a_replayed_batch_is_written_once,
                a_batch_in_doubt_is_resolved,
                an_append_given_up_on_is_resolved,
                effects_are_there_as_soon_as_their_events_are,
                an_append_of_effects_alone_is_applied,
                an_append_whose_effects_cannot_be_is_not_written,
            ;
            history:
                an_empty_room_has_empty_pages,
                a_room_of_messages_alone_is_paged,
                holes_between_messages_do_not_show_in_pages,
                a_room_of_one_message_and_a_room_of_none_are_paged,
                a_deleted_message_keeps_its_place_in_pages,
                only_a_message_is_found_as_one,
                bytes_that_nobody_can_read_are_named_by_their_place,
            ;
            fold:
                edits_show_the_newest_text_until_the_message_is_deleted,
                the_history_of_edits_begins_with_the_first_text,
                reactions_keep_the_order_of_their_first_use,
                a_purge_deletes_what_was_sent_before_it_in_its_range,
                a_message_tells_of_its_thread,
                events_of_one_room_leave_other_rooms_alone,
                pins_are_listed_oldest_pin_first,
                counts_are_of_messages_deleted_ones_too,
                counts_keep_up_with_a_room_that_grows,
            ;
            keys:
                recent_keys_are_those_of_the_window_newest_first,
                a_key_of_any_age_is_found_from_its_time_on,
                a_key_that_was_never_used_is_not_found,
                two_people_may_use_one_key,
            ;
            random:
                a_random_history_reads_as_it_was_written,
            ;
            accounts:
                an_account_is_found_by_id_and_by_name,
                the_name_of_an_account_is_its_own,
                of_many_who_want_a_name_at_once_one_gets_it,
                effects_apply_in_order_and_all_or_none,
                accounts_are_listed_in_pages_by_id,
                authors_of_archives_are_not_counted,
                a_password_hash_is_replaced,
                nodes_that_start_together_end_with_one_secret,
            ;
            sessions:
                sessions_of_a_user_are_listed_newest_first_until_they_end,
                a_refresh_token_is_replaced_only_while_it_is_in_force,
                of_many_uses_of_one_refresh_token_one_succeeds,
                what_a_session_resumes_from_is_replaced_and_forgotten,
            ;
            communities:
                a_community_is_kept_and_replaced,
                of_communities_of_one_name_the_oldest_is_found,
                a_member_joins_changes_and_leaves,
                members_are_listed_in_pages_and_by_how_they_begin,
                people_know_each_other_by_community_or_conversation,
            ;
            rooms:
                a_room_is_kept_and_replaced,
                rooms_of_a_community_are_listed_by_position,
                a_room_of_own_membership_has_its_members,
                a_conversation_is_found_by_its_two_people,
                who_leaves_a_community_leaves_its_private_rooms,
                a_deleted_room_is_forgotten_and_its_log_stays,
                a_deleted_community_takes_its_facts_along_and_its_logs_stay,
            ;
            invites:
                invites_of_a_community_are_listed_newest_first,
                an_invite_counts_its_uses_until_it_is_used_up,
                an_expired_invite_leads_nowhere,
                a_use_that_is_given_back_lets_another_in,
                of_many_who_come_at_once_only_so_many_get_in,
            ;
            markers:
                a_marker_only_moves_forward,
                mentions_count_until_they_are_read,
                a_message_that_names_one_twice_is_one_mention,
                names_of_an_archive_lead_to_what_they_became,
                an_effect_applied_twice_leaves_what_it_left_once,
            ;
        }
    };
    (@cases $fresh:ident; $($module:ident: $($case:ident),+ $(,)?;)+) => {
        $(mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (store, _alive) = super::$fresh().await;
                    $crate::conformance::$module::$case(store).await;
                }
            )+
        })+
    };
}

#[cfg(test)]
mod tests {
    /// Each file with cases, as text.
    const FILES: &[(&str, &str)] = &[
        ("fence", include_str!("conformance/fence.rs")),
        ("race", include_str!("conformance/race.rs")),
        ("append", include_str!("conformance/append.rs")),
        ("history", include_str!("conformance/history.rs")),
        ("fold", include_str!("conformance/fold.rs")),
        ("keys", include_str!("conformance/keys.rs")),
        ("random", include_str!("conformance/random.rs")),
        ("accounts", include_str!("conformance/accounts.rs")),
        ("sessions", include_str!("conformance/sessions.rs")),
        ("communities", include_str!("conformance/communities.rs")),
        ("rooms", include_str!("conformance/rooms.rs")),
        ("invites", include_str!("conformance/invites.rs")),
        ("markers", include_str!("conformance/markers.rs")),
    ];

    #[test]
    fn every_case_is_in_the_list() {
        let list = include_str!("conformance.rs");
        for (module, text) in FILES {
            let heads = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
            let cases: Vec<&str> = heads.filter_map(|head| head.split('(').next()).collect();
            assert!(!cases.is_empty(), "{module} has no case");
            for case in cases {
                let listed = list.lines().any(|line| line.trim() == format!("{case},"));
                assert!(listed, "{module}::{case} is not in `conformance_tests!`");
            }
        }
    }
}
