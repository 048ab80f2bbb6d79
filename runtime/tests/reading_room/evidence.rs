//! Where the model looked: made when it is asked for, as long as the image is there, for drafts of this bundle alone.

use serde_json::{Value, json};

use crate::images::pgm;
use crate::server::{Server, address_of, folder, tiny_bundle};

fn ask(server: &Server, study: &Value) -> (u16, Value) {
    let answer = server.get(&format!("{}/evidence", address_of(study)));
    (answer.status, answer.json())
}

#[test]
fn each_drafted_row_has_a_map_of_even_shares_also_after_a_restart() {
    let folder = folder();
    let server = Server::with_bundle(&tiny_bundle(3), folder.path(), &["--keep-images"]);
    assert_eq!(server.get("/api/room").json()["evidence"], true);
    let study = server.drafted(&pgm(1));
    let (status, evidence) = ask(&server, &study);
    assert_eq!((status, &evidence["mark"]), (200, &json!("Where the model looked, not proof")));
    let cells = evidence["columns"].as_u64().unwrap() * evidence["lines"].as_u64().unwrap();
    let (rows, drafted) = (evidence["rows"].as_array().unwrap(), study["rows"].as_array().unwrap());
    assert_eq!(rows.len(), drafted.len());
    for (map, row) in rows.iter().zip(drafted) {
        assert_eq!((&map["row"], &map["text"]), (&row["number"], &row["drafted"]));
        let values: Vec<f64> = map["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        let mean = values.iter().sum::<f64>() / cells as f64;
        assert!(values.len() as u64 == cells && (mean - 1.0).abs() < 0.01, "{map}");
    }
    // 300 x 280 pixels become 16 x 15 of 16 x 16: the grid is as wide as the picture, and a line higher.
    let place = ["left", "top", "width", "height"].map(|key| &evidence[key]);
    assert_eq!(json!(place), json!([0.0, 0.0, 1.0, 16.0 / 15.0]));
    // A row of the reader's has none, and an edited one keeps its own.
    let address = address_of(&study);
    let added = json!({"revision": 1, "after": 1, "section": null, "text": "Added."});
    assert_eq!(server.post(&format!("{address}/rows"), &added).status, 200);
    let edited = json!({"revision": 2, "row": 1, "decision": "edited", "text": "Edited."});
    assert_eq!(server.post(&format!("{address}/decisions"), &edited).status, 200);
    assert_eq!(ask(&server, &study), (200, evidence.clone()));
    assert_eq!(server.stop(), Some(0));
    let server = Server::with_bundle(&tiny_bundle(3), folder.path(), &["--keep-images"]);
    assert_eq!(ask(&server, &study), (200, evidence), "the same maps from the records");
    // Another bundle has not drafted it.
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(folder.path(), &["--keep-images"]);
    assert_eq!(ask(&server, &study).0, 410);
}

#[test]
fn without_the_image_there_is_nothing_to_look_at_until_it_is_there_again() {
    let folder = folder();
    let server = Server::with_bundle(&tiny_bundle(3), folder.path(), &[]);
    let study = server.drafted(&pgm(2));
    let (_, evidence) = ask(&server, &study);
    assert_eq!(server.stop(), Some(0));
    let server = Server::with_bundle(&tiny_bundle(3), folder.path(), &[]);
    let (status, problem) = ask(&server, &study);
    assert!(status == 410 && problem["error"].as_str().unwrap().contains("not kept"), "{problem}");
    let supplied = server.ask("PUT", &format!("{}/image", address_of(&study)), &[], &pgm(2));
    assert_eq!(supplied.status, 204);
    assert_eq!(ask(&server, &study), (200, evidence));
    let nobody = format!("/api/studies/{}/evidence", "0".repeat(32));
    assert_eq!(server.get(&nobody).status, 404);
    assert_eq!(server.ask("DELETE", &address_of(&study), &[], &[]).status, 204);
    assert_eq!(ask(&server, &study).0, 410);
}

#[test]
fn a_bundle_without_the_graph_does_not_offer_it() {
    let folder = folder();
    let server = Server::with_bundle(&tiny_bundle(2), folder.path(), &[]);
    assert_eq!(server.get("/api/room").json()["evidence"], false);
    let study = server.drafted(&pgm(3));
    assert_eq!(ask(&server, &study).0, 410);
}
