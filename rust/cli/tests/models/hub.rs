//! The sources that speak HTTP.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use lorekit_cli::models::{ModelsError, Progress, SourceError, ensure};

use super::server::{Reply, Server};
use super::world::{HUB, SCOPE, World, content, sha256};

fn both() -> String {
    format!("{HUB}{SCOPE}")
}

/// A ModelScope that has the model.
fn good_scope() -> Server {
    Server::start(|asked, _| Reply::ranged(asked, &content()))
}

fn attempts(error: ModelsError) -> Vec<SourceError> {
    match error {
        ModelsError::NoSource { attempts, .. } => attempts.into_iter().map(|a| a.error).collect(),
        other => panic!("expected NoSource, got {other}"),
    }
}

#[test]
fn a_model_is_fetched_once_and_found_ever_after() {
    let server = Server::start(|_, _| Reply::ok(&content()));
    let mut world = World::new(&content(), HUB).hub(&server.address);
    let path = world.ensure().unwrap();
    assert_eq!(fs::read(&path).unwrap(), content());
    assert_eq!(world.ensure().unwrap(), path);
    world.options.offline = true;
    assert_eq!(world.ensure().unwrap(), path);
    let paths: Vec<String> = server.asked().into_iter().map(|a| a.path).collect();
    assert_eq!(paths, ["/o/r/resolve/v1/m.gguf"]);
    assert_eq!(world.files(), ["model.gguf", "receipt.json"]);
}

#[test]
fn a_broken_transfer_continues_where_it_ended() {
    let half = content().len() / 2;
    let server = Server::start(move |asked, before| match before {
        0 => Reply::Cut(vec![("ETag", "\"one\"".to_owned())], content().len(), content()[..half].to_vec()),
        _ => Reply::ranged(asked, &content()),
    });
    let mut world = World::new(&content(), HUB).hub(&server.address);
    assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content());
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].range(), Some(half));
    assert_eq!(asked[1].header("if-range"), Some("\"one\""));
}

#[test]
fn a_cancelled_pull_ends_soon_keeps_what_came_and_continues_next_time() {
    let server = Server::start(|asked, before| match before {
        0 => Reply::Stall(content().len(), content()[..300_000].to_vec()),
        _ => Reply::ranged(asked, &content()),
    });
    let mut world = World::new(&content(), HUB).hub(&server.address);
    world.options.timeouts.idle = Duration::from_secs(50);
    let cancel = world.options.cancel.clone();
    let begun = Instant::now();
    let outcome = ensure("m", &world.options, &mut |step| {
        if matches!(step, Progress::Bytes { done: 300_000.., .. }) {
            cancel.cancel();
        }
    });
    assert!(matches!(outcome, Err(ModelsError::Cancelled)));
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!(fs::metadata(world.part()).unwrap().len(), 300_000);
    world.options.cancel = Default::default();
    assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content());
    assert_eq!(server.asked()[1].range(), Some(300_000));
}

#[test]
fn wrong_bytes_are_removed_and_the_next_source_is_used() {
    let hub = Server::start(|_, _| Reply::ok(&vec![7; content().len()]));
    let scope = good_scope();
    let mut world = World::new(&content(), &both()).hub(&hub.address).scope(&scope.address);
    assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content());
    let (expected, found) = (sha256(&content()), sha256(&vec![7; content().len()]));
    assert!(world.told[1].contains(&expected) && world.told[1].contains(&found), "{:?}", world.told);
    assert_eq!(scope.asked()[0].path, "/models/o/r/resolve/master/m.gguf");
    assert_eq!(scope.asked()[0].range(), None, "nothing of the wrong file is kept");
}

#[test]
fn a_missing_file_leads_to_the_next_source() {
    let hub = Server::start(|_, _| Reply::status(404));
    let scope = good_scope();
    let mut world = World::new(&content(), &both()).hub(&hub.address).scope(&scope.address);
    world.ensure().unwrap();
    assert!(world.told[1].contains("404"), "{:?}", world.told);
}

#[test]
fn a_silent_server_leads_to_the_next_source_within_the_limit() {
    let hub = Server::start(|_, _| Reply::Stall(content().len(), Vec::new()));
    let scope = good_scope();
    let mut world = World::new(&content(), &both()).hub(&hub.address).scope(&scope.address);
    world.options.timeouts.idle = Duration::from_secs(4);
    let begun = Instant::now();
    world.ensure().unwrap();
    assert!(world.told[1].contains("no byte came"), "{:?}", world.told);
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
}

#[test]
fn a_hub_out_of_reach_leads_to_the_next_source() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scope = good_scope();
    let mut world = World::new(&content(), &both()).hub(&format!("http://127.0.0.1:{port}")).scope(&scope.address);
    world.ensure().unwrap();
    assert!(world.told[1].contains("out of reach"), "{:?}", world.told);
}

#[test]
fn a_redirect_is_followed_with_the_range_and_without_the_token() {
    let half = content().len() / 2;
    let store = Server::start(|asked, _| Reply::ranged(asked, &content()));
    let there = format!("{}/blob?signed=1", store.address);
    let hub = Server::start(move |_, _| Reply::Whole(302, vec![("Location", there.clone())], Vec::new()));
    // Another host name, as a hub's store has, so that dropping the token is what is tested.
    let mut world = World::new(&content(), HUB).hub(&hub.address.replace("127.0.0.1", "localhost"));
    world.options.hub_token = Some("secret".to_owned());
    fs::create_dir_all(world.part().parent().unwrap()).unwrap();
    fs::write(world.part(), &content()[..half]).unwrap();
    assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content());
    assert_eq!(hub.asked()[0].header("authorization"), Some("Bearer secret"));
    assert_eq!(store.asked()[0].header("authorization"), None);
    assert_eq!(store.asked()[0].range(), Some(half));
    assert_eq!(store.asked()[0].path, "/blob?signed=1");
}

#[test]
fn a_server_that_ignores_ranges_gives_the_right_file_all_the_same() {
    let server = Server::start(|_, _| Reply::ok(&content()));
    let mut world = World::new(&content(), HUB).hub(&server.address);
    fs::create_dir_all(world.part().parent().unwrap()).unwrap();
    fs::write(world.part(), &content()[..1000]).unwrap();
    assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content());
    assert_eq!(server.asked()[0].range(), Some(1000));
}

#[test]
fn a_range_that_the_server_refuses_or_answers_wrongly_starts_anew() {
    for refusal in [416, 206] {
        let server = Server::start(move |asked, _| match asked.range() {
            // For 206: a range that was not asked for.
            Some(_) => Reply::Whole(refusal, vec![("Content-Range", "bytes 5-9/10".to_owned())], vec![0; 5]),
            None => Reply::ok(&content()),
        });
        let mut world = World::new(&content(), HUB).hub(&server.address);
        fs::create_dir_all(world.part().parent().unwrap()).unwrap();
        fs::write(world.part(), &content()[..1000]).unwrap();
        assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content(), "{refusal}");
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn a_beginning_that_belongs_to_another_file_is_fetched_again_once() {
    let server = Server::start(|asked, _| Reply::ranged(asked, &content()));
    for beginning in [1000, content().len()] {
        let mut world = World::new(&content(), HUB).hub(&server.address);
        fs::create_dir_all(world.part().parent().unwrap()).unwrap();
        fs::write(world.part(), vec![9; beginning]).unwrap();
        assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content());
    }
}

#[test]
fn a_page_in_place_of_the_file_is_refused_by_its_length() {
    let server = Server::start(|_, _| Reply::ok(b"<html>please log in</html>"));
    let mut world = World::new(&content(), HUB).hub(&server.address);
    let errors = attempts(world.ensure().unwrap_err());
    assert!(matches!(errors[..], [SourceError::Size { found: 26, .. }]), "{errors:?}");
    assert!(world.files().is_empty(), "{:?}", world.files());
}

#[test]
fn when_every_source_fails_each_is_listed_with_its_reason() {
    let hub = Server::start(|_, _| Reply::status(401));
    let scope = Server::start(|_, _| Reply::status(503));
    let mut world = World::new(&content(), &both()).hub(&hub.address).scope(&scope.address);
    let error = world.ensure().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("hub o/r: the server answered 401") && text.contains("modelscope o/r"), "{text}");
    let errors = attempts(error);
    assert!(
        matches!(errors[..], [SourceError::Licence { code: 401 }, SourceError::Status { code: 503 }]),
        "{errors:?}"
    );
}

#[test]
fn only_the_kind_of_source_that_was_asked_for_is_tried() {
    let hub = Server::start(|_, _| Reply::ok(&content()));
    let scope = good_scope();
    let mut world = World::new(&content(), &both()).hub(&hub.address).scope(&scope.address);
    world.options.only = Some("modelscope".to_owned());
    world.ensure().unwrap();
    assert!(hub.asked().is_empty());
}

#[test]
fn a_file_that_nobody_has_checked_is_refused_unless_asked_for() {
    let server = Server::start(|_, _| Reply::ok(b"who knows"));
    let source = format!("{HUB}sha256 = \"unverified\"\n");
    let mut world = World::new(&content(), &source).hub(&server.address);
    assert!(matches!(attempts(world.ensure().unwrap_err())[..], [SourceError::Unverified]));
    assert!(server.asked().is_empty());
    world.options.accept_unverified = true;
    assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), b"who knows");
    world.options.accept_unverified = false;
    world.ensure().unwrap();
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn two_pulls_at_once_fetch_once() {
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_millis(300));
        Reply::ok(&content())
    });
    let world = World::new(&content(), HUB).hub(&server.address);
    let pull = || ensure("m", &world.options, &mut |_| ()).unwrap();
    std::thread::scope(|scope| {
        let threads = [scope.spawn(pull), scope.spawn(pull), scope.spawn(pull)];
        for thread in threads {
            assert_eq!(fs::read(thread.join().unwrap()).unwrap(), content());
        }
    });
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn files_of_a_folder_model_that_came_are_not_fetched_again() {
    let (one, two) = (b"first file".to_vec(), content());
    let file = |path: &str, bytes: &[u8]| {
        format!("[[model.file]]\npath = \"{path}\"\nsize = {}\nsha256 = \"{}\"\n", bytes.len(), sha256(bytes))
    };
    let hub = "[[model.source]]\nkind = \"hub\"\nrepo = \"o/r\"\nrevision = \"v1\"\n";
    let sources = format!("{}{}{hub}", file("one.json", &one), file("sub/two.bin", &two));
    let server = Server::start(|asked, before| match (asked.path.as_str(), before) {
        ("/o/r/resolve/v1/one.json", _) => Reply::ok(b"first file"),
        ("/o/r/resolve/v1/sub/two.bin", 1) => Reply::status(500),
        _ => Reply::ok(&content()),
    });
    let mut world = World::new(b"the converted file", &sources).hub(&server.address);
    assert!(matches!(attempts(world.ensure().unwrap_err())[..], [SourceError::Status { code: 500 }]));
    // These are no model's files, so that the conversion fails, and nothing that came is lost by it.
    for _ in 0..2 {
        assert!(matches!(world.ensure(), Err(ModelsError::Convert { .. })));
    }
    assert_eq!(server.asked().len(), 3);
    assert_eq!(world.files(), ["incoming/source/one.json", "incoming/source/sub/two.bin"]);
}
