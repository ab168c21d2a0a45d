"""Words as GloVe has them, in any script; vectors from every kind of file; and files that can't be vectors."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st

from entrain.model import ModelConfig
from entrain.words import EXTRA, MAX_WORDS, TOKENISER, Words, WordsError, kept_tokens, tokens

KNOWN = ["the", "n't", "ca", "café", "2,024.5"]


@pytest.fixture(scope="module")
def shipped() -> Words:
    return Words.load()


def vectors_of(words: list[str], seed: int = 0) -> KeyedVectors:
    vectors = KeyedVectors(vector_size=4)
    vectors.add_vectors(
        words, np.random.default_rng(seed).standard_normal((len(words), 4)).astype(np.float32)
    )
    return vectors


def written(folder: Path, name: str, vectors: KeyedVectors) -> Path:
    """As `name` says: .txt is GloVe's, without a header; .vec and .bin are word2vec's; any of them .gz."""
    path, kind = folder / name, name.removesuffix(".gz")
    plain = folder / f"plain.{kind}"
    vectors.save_word2vec_format(
        str(plain), binary=kind.endswith(".bin"), write_header=not kind.endswith(".txt")
    )
    content = plain.read_bytes()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I can't, Mm-hmm!", "i ca n't mm hmm"),
        ("I’ve won’t", "i 've wo n't"),  # as Word and phones write it
        ("It's John's; they're, we'll, she'd, I'm", "it 's john 's they 're we 'll she 'd i 'm"),
        ("I'd've shouldn't've", "i 'd 've should n't 've"),
        ("cannot gonna gotta wanna", "can not gon na got ta wan na"),
        ("'Kay 'em rock'n'roll the dogs' o'clock", "kay em rock n roll the dogs o clock"),
        ("mother-in-law's co-op - -- a- -b", "mother in law 's co op a b"),
        ("T_V_ X_M_L_", "tv xml"),  # AMI's spelling of what is spelt
        ("1,000.5 10:30 3rd 24/7 £5", "1,000.5 10:30 3 rd 24 7 5"),
        ("CAFÉ cafe\u0301 café's", "café café café 's"),
        ("Привет, Κόσμε! 日本語です 한국어", "привет κόσμε 日本語です 한국어"),
        ("🙂 ok 👍🏽 … ¿?", "ok"),
        ("", ""),
        (" \n\t", ""),
    ],
)
def test_tokens(text: str, expected: str) -> None:
    assert tokens(text) == expected.split()


@given(st.text(max_size=80))
def test_any_text_has_tokens_that_are_words_and_their_own_tokens(text: str) -> None:
    """But contractions' endings, which are words only behind others."""
    for token in tokens(text):
        assert token
        assert token == token.lower() or not token.isascii()
        if "'" not in token and token.isascii():
            assert tokens(token) == ([*{"cannot": ("can", "not")}.get(token, (token,))])


def test_of_ten_thousand_words_the_first_and_last_32_are_read(shipped: Words) -> None:
    text = " ".join(f"w{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(10_000))
    assert len(tokens(text)) == 10_000
    assert kept_tokens(text) == tokens(text)[:32] + tokens(text)[-32:]
    assert shipped.encode(text).shape == (MAX_WORDS, shipped.dim)
    assert kept_tokens("a b") == ["a", "b"]
    exactly = " ".join(["a"] * MAX_WORDS)
    assert len(kept_tokens(exactly)) == MAX_WORDS == len(kept_tokens(exactly + " a"))


# --- what the network reads -------------------------------------------------------------------------------------------


def test_a_word_is_its_vector_whether_it_is_unknown_and_its_form() -> None:
    words = Words(vectors_of(KNOWN), "some")
    found = words.encode("The café zyzzyva can't")
    assert found.shape == (5, words.dim) == (5, 4 + EXTRA)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0, :4], words.vectors["the"])
    np.testing.assert_array_equal(found[:, 4], [0, 0, 1, 0, 0])  # unknown
    assert not found[2, :4].any()
    np.testing.assert_allclose(found[:, 5], np.array([1, 2, 3, 1, 1]) / 4)  # syllables, of unknown words too
    np.testing.assert_allclose(found[:, 6], np.array([3, 4, 7, 2, 3]) / 10)  # letters


def test_no_words_are_no_rows() -> None:
    assert Words(vectors_of(KNOWN), "some").encode("… 🙂").shape == (0, 4 + EXTRA)


def test_unknown_rate_is_of_all_words_together() -> None:
    words = Words(vectors_of(KNOWN), "some")
    assert words.unknown_rate(["the the the", "", "zyzzyva"]) == 0.25
    assert words.unknown_rate(["", "…"]) == 0
    assert words.unknown_rate([]) == 0


def test_another_script_is_unknown_and_counted(shipped: Words) -> None:
    assert shipped.unknown_rate(["日本語です", "Привет мир"]) == 1
    assert np.isfinite(shipped.encode("日本語です Привет " + "ж" * 5_000 + " " + "9" * 5_000)).all()


# --- the id -----------------------------------------------------------------------------------------------------------


def test_the_id_changes_when_a_vector_a_word_or_their_order_does(tmp_path: Path) -> None:
    def id_of(words: list[str], change: Callable[[KeyedVectors], None] = lambda v: None) -> str:
        vectors = vectors_of(words)
        change(vectors)
        return Words.load(written(tmp_path, "some.bin", vectors)).id

    def nudge(vectors: KeyedVectors) -> None:
        vectors.vectors[3, 2] += 1e-6

    first = id_of(KNOWN)
    assert id_of(KNOWN) == first
    assert first.startswith("some-")
    others = [id_of(KNOWN, nudge), id_of([*KNOWN[:4], "cafe"]), id_of(KNOWN[::-1]), id_of(KNOWN[:4])]
    assert len({first, *others}) == 5


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.vec", "a.vec.gz", "a.bin", "a.bin.gz"])
def test_every_kind_of_file_reads_the_same(name: str, tmp_path: Path) -> None:
    vectors = vectors_of(KNOWN)
    words = Words.load(written(tmp_path, name, vectors))
    assert words.vectors.index_to_key == KNOWN
    np.testing.assert_array_equal(words.table[1:], vectors.vectors)
    assert words.table.dtype == np.float32
    assert words.id == Words.load(written(tmp_path, "a.bin", vectors)).id


def test_a_doubled_word_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a 1 2\na 3 4\nb 5 6\n")
    words = Words.load(path)
    np.testing.assert_array_equal(words.table, [[0, 0], [1, 2], [5, 6]])
    np.testing.assert_array_equal(words.find("b")[0], [2])


@pytest.mark.parametrize("suffix", [".kv", ".model", ".pkl"])
def test_a_pickle_is_refused_unopened(suffix: str, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return (tmp_path.joinpath("harm").touch, ())

    path = tmp_path / f"vectors{suffix}"
    path.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(WordsError, match=r"is a pickle.*save_word2vec_format"):
        Words.load(path)
    renamed = path.rename(tmp_path / "vectors.bin")
    with pytest.raises(WordsError, match="holds no word vectors"):
        Words.load(renamed)
    assert not (tmp_path / "harm").exists()


FILES: dict[str, tuple[bytes, str]] = {
    "a.docx": (b"...", r"ends in '.docx'; .txt, .vec \(also .gz\) or .bin is needed"),
    "empty.txt": (b"", "holds no word vectors"),
    "empty.bin": (b"", "holds no word vectors"),
    "prose.txt": (b"It was the best of times\nit was the worst of times\n", "float: 'was'"),
    "table.txt": (b"a,b,c\n1,2,3\n", "has 2 words of 0 values; at least one of each"),
    "none.vec": (b"0 50\n", "has 0 words of 50 values"),
    "short.vec": (b"3 2\na 1 2\nb 1 2\n", "unexpected end of input"),
    "short.bin": (b"2 1\na \0\0\0\0b ", "unexpected end of input"),
    "cut.txt": (b"a 1 2 3\nb 1 2\n", "holds no word vectors"),
    "cut.txt.gz": (gzip.compress(b"a 1 2\nb 1 2\n" * 999)[:-20], "ended before the end"),
    "not.txt.gz": (b"a 1 2\n", "Not a gzipped file"),
    "latin.txt": ("é 1 2\n".encode("latin-1"), "utf-8"),
    "sound.bin": (np.random.default_rng(0).bytes(999), "holds no word vectors"),
    "huge.bin": (b"99999999999 300\nxx", "MemoryError"),
    "nan.txt": (b"a 1 2\nb nan 2\n", "the vector of 'b' is not finite"),
    "infinite.txt": (b"a 1 inf\nb 1 2\n", "the vector of 'a' is not finite"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_vectors_is_named_and_why(name: str, tmp_path: Path) -> None:
    content, told = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WordsError, match=told) as caught:
        Words.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("none.txt", "none.bin", "none.vec.gz"):
        with pytest.raises(WordsError, match=f"there is no .*{name}"):
            Words.load(tmp_path / name)
    with pytest.raises(WordsError, match="is needed"):
        Words.load(tmp_path)


# --- the table that ships ---------------------------------------------------------------------------------------------


def test_the_shipped_table_knows_what_people_say(shipped: Words) -> None:
    said = "Um, yeah, I can't really say; we're gonna open at nine, mm-hmm, okay? Erm, hmm, uh-huh. It's the doctor's."
    assert shipped.unknown_rate([said]) == 0
    assert len(shipped.vectors) > 19_000
    assert shipped.table.shape[1] == 50
    assert np.isfinite(shipped.table).all()
    assert (np.abs(shipped.table[1:]).sum(1) > 0).all()


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("doctor", "physician"),
        ("monday", "tuesday"),
        ("three", "four"),
        ("good", "better"),
        ("paris", "france"),
    ],
)
def test_neighbours_are_sensible(word: str, near: str, shipped: Words) -> None:
    """So the words lie beside their own vectors."""
    assert near in [found for found, _ in shipped.vectors.most_similar(word, topn=8)]


def test_the_default_configuration_fits_the_shipped_table(shipped: Words) -> None:
    config = ModelConfig()
    assert (config.word_dim, config.tokeniser) == (shipped.dim, TOKENISER)


def test_it_is_loaded_once(shipped: Words) -> None:
    assert Words.load() is shipped
