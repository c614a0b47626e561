"""Problems, results and digits in the words of readings, and what must not be taken for one."""

from __future__ import annotations

import time

import pytest

from server.analyses.numbers import value
from server.studies.parse import Problem, hinted_digits, problems, stated_result


@pytest.mark.parametrize(
    ("text", "factors", "result"),
    [
        ("9 × 12", (9, 12), None),
        ("9 x 12 = 108", (9, 12), 108),
        ("9x12=108", (9, 12), 108),
        ("9*12", (9, 12), None),
        ("9 * 12 =", (9, 12), None),
        ("14 · 12 = 168", (14, 12), 168),
        ('The text runs "12 * 7 = 8".', (12, 7), 8),
        ("8 and 2", (8, 2), None),
        ('"8 and 2"', (8, 2), None),
        ("multiplication problem with 8 and 2, showing the steps", (8, 2), None),
        ("the product of 8 and 2", (8, 2), None),
        ("12 * 7 = 70 + 14", (12, 7), None),
        ("the product of eight and two", (8, 2), None),
        ("the product of 8 and 2, which results in 16", (8, 2), 16),
        ("Multiplying 14 by 12 gives 168 as the answer.", (14, 12), 168),
        ("multiplication of the numbers 14 and 12", (14, 12), None),
        ("14 times 12", (14, 12), None),
        ("14 times 12 is 168.", (14, 12), 168),
        ("14 multiplied by 12 equals 168", (14, 12), 168),
        ("seven times eight", (7, 8), None),
        ("Seven times eight makes fifty-six", (7, 8), 56),
        ("twelve × fourteen = one hundred and sixty-eight", (12, 14), 168),
        ("28 × 48 = 1,344", (28, 48), 1344),
        ("28 × 48 = 1344.", (28, 48), 1344),
        ('"9" × "12" = "108"', (9, 12), 108),
        ("The problem 9 × 12 is worked step by step, and 108 is the answer", (9, 12), 108),
        ("28 × 48, which would be 1.344", (28, 48), None),
        ("results in 168", None, 168),
        ("the sum results in 1,344 and stops", None, 1344),
        ("equals 168", None, 168),
        ("= 168", None, 168),
        ('"= 168"', None, 168),
        ("3 + 4 = 7", None, 7),
        ("168 as the answer", None, 168),
        ("with 168 as its final result", None, 168),
        ("The answer is 168.", None, 168),
        ('the answer "168"', None, 168),
        ("Answer: 168", None, 168),
        ("the correct product 168", None, 168),
        ("a result of 168 follows", None, 168),
        ("giving fifty-six", None, 56),
        ("a product in arithmetic that results in 1998", None, 1998),
    ],
)
def test_a_problem_is_found(text: str, factors: tuple[int, int] | None, result: int | None) -> None:
    assert problems(text) == [Problem(factors, result)]
    assert stated_result(text) == result


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A short report on the weather follows.",
        "On 12/05/2020 the election was held.",
        "12-05-2020",
        "between 1914 and 1918",
        "In 1998 and 1999 prices rose by 3 and 4 percent.",
        "election results in 1998",
        "Chapter 12",
        "Chapters 3 and 4 explain the product.",
        "He lived 8 times in Rome.",
        "at 12:30 and 14:45",
        "3.5 × 2.5",
        "50% × 20%",
        "the 2nd and 3rd of the list",
        "children aged 8 and 12",
        "a screen of 1920x1080 pixels",
        "x = 12",
        "10 + 70 = 10 + 7",
        "return total == 12",
        "The attack results in 3 deaths.",
        "8 and 2 children",
        "Answer 3 questions about the text.",
        "It gives 5 examples of the product.",
        "July 4 and 5, a product fair",
        "the sum of 8 and 2 in arithmetic",
        "page 9 times out",
        "0x12ab",
        "v1.2*3.4",
        "9 ×",
        "× 12",
        "=",
        "the result is unclear",
        "The New York Times 100 best books",
    ],
)
def test_what_is_no_problem_is_left_alone(text: str) -> None:
    assert problems(text) == []
    assert stated_result(text) is None


def test_several_problems_keep_their_order_and_their_results() -> None:
    text = 'The text runs "12 * 7 = 84\n3 * 9 = 27". It results in 4. Then 8 × 2 follows.'
    assert problems(text) == [
        Problem((12, 7), 84),
        Problem((3, 9), 27),
        Problem(None, 4),
        Problem((8, 2), None),
    ]


def test_of_several_results_the_last_one_is_the_one_that_is_stated() -> None:
    assert stated_result("2 × 3 = 6, then 4 × 5 = 20, then 7 × 7") == 20


def test_a_result_in_another_sentence_belongs_to_no_product() -> None:
    assert problems("9 × 12 is asked. The answer is 7.") == [Problem((9, 12), None), Problem(None, 7)]


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ('The final token is "7"; next comes "4".', ["7", "4"]),
        (
            'The final token is " 7"; next probably "4", "3" or "2". The text runs "12 * 7 = 8".',
            ["7", "4", "3", "2"],
        ),
        ('The final token is "="; next perhaps "\n" or "8".', ["8"]),
        ('The final token is "7"; next probably a line break, the end-of-turn mark or "5".', ["7", "5"]),
        ('or "8"', ["8"]),
        ('Final token "7" completes a line.', ["7"]),
        ("the final token ‘7’ stands alone", ["7"]),
        ('a final "8" after the equals sign', ["8"]),
        ('"8" as the final token', ["8"]),
        ('likely followed by "4" or "6"', ["4", "6"]),
        ('"4" comes next', ["4"]),
        ('"4" is expected', ["4"]),
        ('expecting "4"', ["4"]),
        ("the next digit is 4", ["4"]),
        ("final token 168, next token 9", ["8", "9"]),
        ('ends with "16"; next "84"', ["6", "8"]),
        ('The final token is "7"; next comes "7".', ["7"]),
        ("next comes “7”", ["7"]),
        ('The final token is "."; next comes "3".', ["3"]),
        ("", []),
        ('The text runs "12 * 7 = 8".', []),
        ('The final token is " the"; next probably " cat".', []),
        ('the digit "8" of the first factor', []),
        ("in the next 3 years", []),
        ("Chapter 12 is the last one of 1998.", []),
        ('It opens the text "7".', []),
        ("final digits 3.5", []),
    ],
)
def test_digits_are_hinted(text: str, digits: list[str]) -> None:
    assert hinted_digits(text) == digits


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        ("1,344", 1344),
        ("1\u202f344", 1344),
        ("zero", 0),
        ("fifty-six", 56),
        ("a hundred", 100),
        ("one hundred and sixty-eight", 168),
        ("a thousand", 1000),
        ("two thousand three hundred forty", 2340),
        ("twelve thousand and five", 12005),
    ],
)
def test_a_number_in_words_has_its_value(text: str, number: int) -> None:
    assert value(text) == number


@pytest.mark.parametrize(
    "text", ["9 " * 3000, "9 x " * 1000, '"7", ' * 1000, " " * 20_000 + "=", "nine hundred " * 1000]
)
def test_a_long_text_takes_no_time(text: str) -> None:
    began = time.process_time()
    problems(text)
    hinted_digits(text)
    assert time.process_time() - began < 5
