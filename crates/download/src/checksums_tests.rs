use super::*;
use proptest::prelude::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn found(text: &str, name: &str) -> Result<String, String> {
    look_up(text, name, Asked::ByName).map(|digest| digest.to_string())
}

fn is(text: &str, name: &str, digits: &str) {
    assert_eq!(found(text, name), Ok(format!("sha256:{digits}")), "{text}");
}

#[test]
fn what_sha256sum_writes() {
    let text = format!("{A}  a.raw\n{B} *b.raw\r\n");
    is(&text, "a.raw", A);
    is(&text, "b.raw", B);
    is(&format!("{}  a.raw", A.to_uppercase()), "a.raw", A);
    is(&format!("{A}   a.raw"), " a.raw", A);
    is(&format!("{A}  a  b.raw"), "a  b.raw", A);
    is(&format!("{A} a.raw"), "a.raw", A);
}

#[test]
fn names_with_backslash_and_line_break_are_escaped() {
    is(&format!("\\{A}  a\\nb\\\\c\n"), "a\nb\\c", A);
    is(&format!("\\SHA256 (a\\nb) = {A}\n"), "a\nb", A);
    // Without the mark the backslash is one.
    is(&format!("{A}  a\\nb\n"), "a\\nb", A);
    assert!(found(&format!("\\{A}  a\\xb\n"), "a\\xb").is_err());
}

#[test]
fn what_the_bsd_tools_and_openssl_write() {
    let text = format!(
        "# Fedora-1.raw.xz: 5 bytes\nSHA256 (Fedora-1.raw.xz) = {A}\nMD5 (x) = 00\nSHA2-256(x y)= {B}\n"
    );
    is(&text, "Fedora-1.raw.xz", A);
    is(&text, "x y", B);
    is(&format!("SHA256 (a) = (b) = {A}\n"), "a) = (b", A);
    assert!(found(&format!("SHA1 (a) = {A}"), "a").is_err());
    assert!(found(&format!("SHA256 (a) = {}", &A[1..]), "a").is_err());
}

#[test]
fn several_algorithms_in_one_file() {
    let long = "c".repeat(128);
    let both = format!("SHA512 (a) = {long}\nSHA256 (a) = {A}\n");
    is(&both, "a", A);
    assert_eq!(
        found(&format!("{long}  a\n"), "a"),
        Ok(format!("sha512:{long}"))
    );
    // BLAKE2b is as long as SHA-512.
    let gentoo = format!(
        "# BLAKE2B HASH\n{}  a\n# SHA512 HASH\n{long}  a\n",
        "d".repeat(128)
    );
    assert_eq!(found(&gentoo, "a"), Ok(format!("sha512:{long}")));
}

#[test]
fn absent_names_are_told_with_those_that_are_there() {
    let why = found(&format!("{A}  a.raw\n{B}  b.raw\n"), "c.raw").expect_err("it is absent");
    assert!(
        why.contains("\"a.raw\", \"b.raw\"") && why.contains("\"c.raw\""),
        "{why}"
    );
    // Neither a part of a name nor a path is the name.
    for near in ["raw", "a.ra", "A.raw", "../a.raw", "x/a.raw", ""] {
        assert!(found(&format!("{A}  a.raw\n"), near).is_err(), "{near}");
    }
    let many: String = (0..30).map(|n| format!("{A}  f{n:02}\n")).collect();
    let why = found(&many, "x").expect_err("it is absent");
    assert!(why.contains("\"f19\", and 10 more"), "{why}");
    let nothing =
        found("d41d8cd98f00b204e9800998ecf8427e  a\n", "a").expect_err("MD5 does not count");
    assert!(nothing.contains("MD5"), "{nothing}");
}

#[test]
fn a_name_in_this_folder_is_the_name() {
    is(&format!("{A}  ./a.raw\n{B}  ./x/a.raw\n"), "a.raw", A);
    is(&format!("{A}  a.raw\n{B}  b.raw\n"), "./a.raw", A);
    let why = found(&format!("{A}  a\n{B}  ./a\n"), "a").expect_err("which?");
    assert!(why.contains("more than once"), "{why}");
}

#[test]
fn two_digests_for_a_name_are_none() {
    let why = found(&format!("{A}  a\n{B}  a\n"), "a").expect_err("which?");
    assert!(why.contains("more than once"), "{why}");
    is(&format!("{A}  a\nSHA256 (a) = {A}\n"), "a", A);
}

#[test]
fn a_digest_alone_speaks_of_the_file_it_lies_beside() {
    let alone = |text: &str, asked| look_up(text, "a", asked).map(|it| it.to_string());
    let sum = Ok(format!("sha256:{A}"));
    assert_eq!(alone(&format!("{A}\n"), Asked::ByDefault), sum);
    assert!(alone(&format!("{A}\n"), Asked::ByName).is_err());
    assert!(alone(&format!("{A}\n{B}\n"), Asked::ByDefault).is_err());
    assert!(alone(&format!("{A}\n{B}  b\n"), Asked::ByDefault).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "(?s).{0,300}", name in ".{0,8}") {
        let _ = found(&text, &name);
    }

    #[test]
    fn every_name_is_found_in_both_styles(name in "[a-zA-Z0-9 ()=*_.-]{1,30}", more in "[a-z]{1,8}") {
        let name = format!("x{name}");
        prop_assume!(name.trim_end() == name && name != more);
        for text in [format!("{B}  {more}\n{A}  {name}\n"), format!("SHA256 ({name}) = {A}\nSHA256 ({more}) = {B}\n")] {
            prop_assert_eq!(found(&text, &name), Ok(format!("sha256:{A}")));
        }
    }
}
