//! The short form of steady load: nothing piles up.

use crate::images::{dicom, pgm};
use crate::server::{Server, address_of, folder, skipped};

#[test]
fn steady_load_leaves_no_handle_and_no_memory_behind() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--queue", "16"]);
    let round = |seed: usize| {
        std::thread::scope(|scope| {
            for client in 0..8 {
                let server = &server;
                scope.spawn(move || {
                    let file = if client % 2 == 0 { pgm(seed * 8 + client) } else { dicom("Secret^Patient") };
                    let study = server.drafted(&file);
                    assert_eq!(server.get(&format!("{}/image", address_of(&study))).status, 200);
                    assert_eq!(server.get("/api/studies").status, 200);
                });
            }
        });
    };
    (0..12).for_each(round);
    let (Some(handles), Some(memory)) = (server.handles(), server.memory_kib("VmRSS:")) else {
        skipped("this system does not show memory and handles");
        return;
    };
    (12..24).for_each(round);
    let after = (server.handles().unwrap(), server.memory_kib("VmRSS:").unwrap());
    assert!(after.0 <= handles + 2, "{handles} handles, then {}", after.0);
    // The latest images are held on purpose: 48 more of 164 kB.
    assert!(after.1 < memory + 24 * 1024, "{memory} KiB, then {}", after.1);
}
