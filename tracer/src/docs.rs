//! Keeps the generated pages of `docs/` as the code would write them; a test, no part of the program.

use std::path::Path;
use std::{env, fs};

#[test]
fn the_generated_pages_are_up_to_date() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let pages = [
        ("cli.md", crate::cli::reference()),
        ("config.md", crate::config::reference()),
    ];
    for (name, expected) in pages {
        let path = docs.join(name);
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::create_dir_all(&docs).unwrap();
            fs::write(&path, &expected).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        let hint = "write it anew with `UPDATE_DOCS=1 cargo test -p tracer docs`";
        assert!(found == expected, "docs/{name} is stale; {hint}");
    }
}
