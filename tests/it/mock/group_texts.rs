//! Group texts: who may join one, when it may be written in, and that no two have the same numbers.

use serde_json::json;

use super::twilio::{Answer, Twilio};

const B: &str = "+15558675311";
const C: &str = "+15558675312";

async fn join(twilio: &Twilio, conversation: &str, form: &[(&str, &str)]) -> Answer {
    twilio.post(&format!("{conversation}/Participants"), form).await
}

/// Alice on chat by our number.
async fn project(twilio: &Twilio, conversation: &str, identity: &str) -> Answer {
    let number = twilio.mock.phone_number();
    join(twilio, conversation, &[("Identity", identity), ("MessagingBinding.ProjectedAddress", number)]).await
}

/// A phone without a proxy address.
async fn phone(twilio: &Twilio, conversation: &str, address: &str) -> Answer {
    join(twilio, conversation, &[("MessagingBinding.Address", address)]).await
}

async fn group(twilio: &Twilio, phones: &[&str]) -> String {
    let conversation = twilio.conversation().await;
    project(twilio, &conversation, "alice").await.expect(201);
    for address in phones {
        phone(twilio, &conversation, address).await.expect(201);
    }
    conversation
}

#[tokio::test]
async fn a_group_text_is_written_in_once_it_is_complete_and_by_its_members() {
    let twilio = Twilio::start().await;
    let conversation = group(&twilio, &[B]).await;
    let messages = format!("{conversation}/Messages");
    let write = async |author: &str| twilio.post(&messages, &[("Author", author), ("Body", "x")]).await;
    write("alice").await.refused(400, 50435);
    let phone = phone(&twilio, &conversation, C).await.expect(201);
    assert_eq!(phone.body["messaging_binding"], json!({"type": "sms", "address": C}));
    assert_eq!(phone.body["role_sid"], json!(null));
    let written = write("alice").await.expect(201);
    assert_eq!(written.body["delivery"]["total"], 2, "both phones, not our own number");
    for author in [B, twilio.mock.phone_number()] {
        assert!(write(author).await.expect(201).body["participant_sid"].is_string(), "{author}");
    }
    write("bob").await.refused(400, 50513);
    twilio.post(&messages, &[("Body", "by nobody")]).await.refused(400, 50513);
    let message = format!("{messages}/{}", written.sid());
    twilio.post(&message, &[("Author", "bob")]).await.refused(400, 50513);
    twilio.delete(&format!("{conversation}/Participants/{}", phone.sid())).await.expect(204);
    write("alice").await.refused(400, 50435);
}

#[tokio::test]
async fn a_group_text_is_not_activated_with_people_or_numbers_that_do_not_fit() {
    let twilio = Twilio::start().await;
    // Somebody on chat who has no number was there before it became a group text.
    let conversation = twilio.conversation().await;
    twilio.join(&conversation, "bob").await;
    project(&twilio, &conversation, "alice").await.expect(201);
    phone(&twilio, &conversation, B).await.expect(201);
    phone(&twilio, &conversation, C).await.expect(201);
    let messages = format!("{conversation}/Messages");
    twilio.post(&messages, &[("Author", "alice"), ("Body", "x")]).await.refused(400, 50435);
    twilio.delete(&format!("{conversation}/Participants/bob")).await.expect(204);
    twilio.post(&messages, &[("Author", "alice"), ("Body", "x")]).await.expect(201);

    // Only North America has Group MMS.
    let abroad = group(&twilio, &["+4915112345678", B]).await;
    let messages = format!("{abroad}/Messages");
    twilio.post(&messages, &[("Author", "alice"), ("Body", "x")]).await.refused(400, 50435);
}

#[tokio::test]
async fn a_group_text_takes_only_whom_it_has_a_place_for() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    phone(&twilio, &conversation, B).await.refused(400, 50412);
    let elsewhere = [("Identity", "alice"), ("MessagingBinding.ProjectedAddress", "+15005550009")];
    join(&twilio, &conversation, &elsewhere).await.refused(403, 50439);
    project(&twilio, &conversation, "alice").await.expect(201);
    join(&twilio, &conversation, &[("Identity", "bob")]).await.refused(400, 50434);
    project(&twilio, &conversation, "bob").await.refused(409, 50437);
    phone(&twilio, &conversation, B).await.expect(201);
    phone(&twilio, &conversation, B).await.refused(409, 50437);
    for digit in 2..10 {
        phone(&twilio, &conversation, &format!("+1555867530{digit}")).await.expect(201);
    }
    phone(&twilio, &conversation, C).await.refused(403, 50436);
}

#[tokio::test]
async fn the_same_numbers_make_one_group_text_until_it_is_closed_deleted_or_left() {
    let twilio = Twilio::start().await;
    let first = group(&twilio, &[B, C]).await;
    let sid = first.rsplit_once('/').unwrap().1;
    let second = group(&twilio, &[B]).await;
    let refused = phone(&twilio, &second, C).await.refused(409, 50438);
    let text = format!("Group MMS with given participant list already exists as Conversation {sid}");
    assert_eq!(refused.text("message"), text);
    twilio.post(&first, &[("State", "closed")]).await.expect(200);
    let phone_c = phone(&twilio, &second, C).await.expect(201).sid();
    let third = group(&twilio, &[B]).await;
    phone(&twilio, &third, C).await.refused(409, 50438);
    twilio.delete(&format!("{second}/Participants/{phone_c}")).await.expect(204);
    phone(&twilio, &third, C).await.expect(201);
    phone(&twilio, &second, C).await.refused(409, 50438);
    twilio.delete(&third).await.expect(204);
    phone(&twilio, &second, C).await.expect(201);
}

#[tokio::test]
async fn bindings_change_only_as_they_can() {
    let twilio = Twilio::start().await;
    let number = twilio.mock.phone_number().to_owned();
    let conversation = twilio.conversation().await;
    let alice = format!("{conversation}/Participants/{}", twilio.join(&conversation, "alice").await);
    let phone_b = twilio.join_by_sms(&conversation, B).await;
    let phone_b = format!("{conversation}/Participants/{phone_b}");
    let (proxy, projected) = ("MessagingBinding.ProxyAddress", "MessagingBinding.ProjectedAddress");
    for (path, name, value, code) in [
        (&alice, proxy, number.as_str(), 50441),
        (&alice, proxy, "null", 50440),
        (&alice, projected, "null", 50442),
        (&alice, projected, "12", 50407),
        (&phone_b, projected, &number, 50443),
        (&phone_b, projected, "null", 50442),
        (&phone_b, proxy, "null", 50440),
        (&phone_b, proxy, "12", 50408),
        (&phone_b, proxy, B, 50409),
        (&alice, "Identity", "bob", 50444),
        (&phone_b, "Identity", "bob", 50444),
    ] {
        twilio.post(path, &[(name, value)]).await.refused(400, code);
    }
    twilio.post(&alice, &[(projected, "+15005550009")]).await.refused(403, 50439);
    twilio.post(&phone_b, &[(proxy, "+15005550009")]).await.refused(403, 50413);

    let changed = twilio.post(&alice, &[(projected, &number)]).await.expect(200);
    assert_eq!(changed.body["messaging_binding"], json!({"type": "sms", "projected_address": number}));
    // Now that somebody has a projected address, a phone needs no proxy address any more.
    let changed = twilio.post(&phone_b, &[(proxy, "null")]).await.expect(200);
    assert_eq!(changed.body["messaging_binding"], json!({"type": "sms", "address": B}));
    let other = twilio.conversation().await;
    twilio.join_by_sms(&other, B).await;
    twilio.post(&phone_b, &[(proxy, &number)]).await.refused(409, 50416);
    let changed = twilio.post(&alice, &[(projected, "null")]).await.expect(200);
    assert_eq!(changed.body["messaging_binding"], json!(null));
}

#[tokio::test]
async fn a_projected_address_may_wait_for_its_identity() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let number = twilio.mock.phone_number().to_owned();
    let alone = [("MessagingBinding.ProjectedAddress", number.as_str())];
    let alone = join(&twilio, &conversation, &alone).await.expect(201);
    assert_eq!(alone.body["identity"], json!(null));
    let path = format!("{conversation}/Participants/{}", alone.sid());
    twilio.post(&path, &[("MessagingBinding.ProjectedAddress", "null")]).await.refused(400, 50442);
    let taken = twilio.post(&path, &[("Identity", "alice")]).await.expect(200);
    assert_eq!((taken.sid(), taken.text("identity")), (alone.sid(), "alice"));
    assert_eq!(twilio.get(&format!("{conversation}/Participants/alice")).await.sid(), alone.sid());
    twilio.get("/v1/Users/alice").await.expect(200);
    let found = twilio.get("/v1/ParticipantConversations?Identity=alice").await.expect(200);
    assert_eq!(found.body["conversations"].as_array().unwrap().len(), 1);
    twilio.post(&path, &[("Identity", "bob")]).await.refused(400, 50444);
}
