//! Which crates a member may not depend on, directly or not: what keeps the runtime small and
//! free of libtorch.

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;

/// A member and the crates that must not be among its dependencies.
const RULES: &[(&str, &[&str])] = &[
    ("xreport-models", &["tch", "torch-sys", "ort", "ort-sys", "xreport-runtime", "xreport-trainer"]),
    ("xreport-runtime", &["tch", "torch-sys", "xreport-trainer"]),
    // The end-to-end tests run the programs; linking the trainer would bring libtorch along.
    ("xreport-tests", &["tch", "torch-sys", "xreport-trainer"]),
    // A build that the helper starts must never have to replace the running helper.
    ("xtask", &["tch", "ort", "xreport-models", "xreport-runtime", "xreport-trainer"]),
];

/// Members whose dependencies must resolve for another system as well.
const PORTABLE: [&str; 2] = ["xreport-models", "xreport-runtime"];
const OTHER_SYSTEM: &str = "x86_64-pc-windows-msvc";

/// The proof.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    if let Some(word) = arguments.first() {
        bail!("`deps` takes no arguments, found `{word}`");
    }
    check(workspace)
}

/// Whether every rule is kept; prints a line for each.
pub fn check(workspace: &Workspace) -> Result<bool> {
    let mut kept = true;
    let elsewhere = RULES.iter().filter(|(member, _)| PORTABLE.contains(member)).map(|rule| (rule, Some(OTHER_SYSTEM)));
    for ((member, forbidden), target) in RULES.iter().map(|rule| (rule, None)).chain(elsewhere) {
        let dependencies = dependencies(workspace, member, target)?;
        let found: Vec<_> =
            forbidden.iter().filter(|name| dependencies.iter().any(|dependency| dependency == *name)).collect();
        if found.is_empty() {
            let system = target.map_or_else(String::new, |target| format!(" for {target}"));
            println!("   {member}{system}: {} crates, none of {}", dependencies.len(), forbidden.join(", "));
        } else {
            println!("   {member} depends on {found:?}\n   hint: cargo tree -p {member} -e normal -i {}", found[0]);
            kept = false;
        }
    }
    Ok(kept)
}

/// The names of everything that the package `member` links, itself left out.
fn dependencies(workspace: &Workspace, member: &str, target: Option<&str>) -> Result<Vec<String>> {
    let mut cargo = workspace.cargo();
    cargo.args(["tree", "--package", member, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    if let Some(target) = target {
        cargo.args(["--target", target]);
    }
    let output = cargo.output().context("cargo cannot be started")?;
    ensure!(
        output.status.success(),
        "`cargo tree -p {member}` failed\n{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let mut names = names(&String::from_utf8_lossy(&output.stdout));
    ensure!(names.iter().any(|name| name == member), "`cargo tree -p {member}` does not list {member} itself");
    names.retain(|name| name != member);
    Ok(names)
}

fn names(tree: &str) -> Vec<String> {
    let mut names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_cargos_tree() {
        let tree = "xreport-runtime v0.1.0 (/x/runtime)\nanyhow v1.0.100\nserde_derive v1.0.228 (proc-macro)\nanyhow v1.0.100 (*)\n";
        assert_eq!(names(tree), ["anyhow", "serde_derive", "xreport-runtime"]);
    }

    #[test]
    fn every_ruled_package_is_a_member() {
        let workspace = Workspace::find().expect("inside the tree");
        for (member, _) in RULES {
            dependencies(&workspace, member, None).expect("cargo tree knows it");
        }
    }
}
