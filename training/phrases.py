"""Phrases that the texts of kinds.py are put together from: {t} is a topic, {p} a person, {n} a name, {c} and {d} are
countries, {a} and {b} numbers.
"""

from __future__ import annotations

RAW = {
    "story": [
        "Once upon a time there was a {p} who knew everything about {t}.",
        "The {p} opened the door and thought of {t}.",
        "Nobody in the village had ever asked about {t}, until the {p} came.",
        "It was raining when the {p} left the house.",
    ],
    "article": [
        "The history of {t} begins long before",
        "{T}\n\nFrom an encyclopedia: {t}",
        "Scientists have studied {t} for many years. They found",
        "There are three reasons why {t} matter to us.",
        "# {T}\n\n## Introduction\n\n",
    ],
    "news report": [
        "LONDON (Reuters) - A new report on {t} was published on Tuesday,",
        "Breaking news: the government has announced a plan about {t}.",
        "Local {p} wins a prize for work on {t}.",
    ],
    "forum post": [
        "Hi everyone, I am new here and have a question about {t}.",
        "Does anyone else think that {t} are overrated? I mean,",
        "Update: I finally talked to my {p} about {t} and",
    ],
    "review": [
        "I bought this book about {t} last week and",
        "Two stars. The film promises {t}, but",
    ],
    "email": [
        "Subject: {T}\n\nDear {n},\n\nthank you for your message about {t}.",
        "Hi {n},\n\njust a quick note on {t}:",
    ],
}  # fmt: skip
PEOPLE = """teacher;doctor;farmer;child;pilot;king;sailor;nurse;baker;stranger;neighbour;student;lawyer;writer;
soldier;mother;gardener;old man;young woman;detective""".replace("\n", "").split(";")  # fmt: skip
NAMES = """Anna;Tom;Maria;Peter;Lucy;Ahmed;Sofia;John;Mei;David;Fatima;Paul;Emma;Carlos;
Ruth;Ivan""".replace("\n", "").split(";")  # fmt: skip

FOLLOW_UPS = [
    "Why?",
    "Can you say that in one sentence?",
    "Give me an example.",
    "I do not understand. Explain it more simply.",
    "What would {n} say to that?",
    "Are you sure?",
    "And what about {t}?",
    "Thank you! Now the same as a poem, please.",
    "Translate the first sentence into French.",
    "That is too long. Be brief.",
]
ANSWERS = [
    "There is a lot to say about {t}.",
    "It depends on what you want to know.",
    "Most people learn about {t} when they are young.",
    "A {p} once told me that {t} can change a life.",
    "Of course, I can help you with that.",
    "In short: it is older than you think.",
    "My favourite example is {n}, a {p} who loved {t}.",
    "It takes patience, and a little luck.",
    "Experts disagree on this.",
    "First, look at what is there. Then ask a {p}.",
]
RULES = [
    "You are {n}, a {p} who answers every question in the voice of a {p}.",
    "You are an assistant of a shop that sells {t}.",
    "Answer in at most two sentences.",
    "Never mention {t}.",
    "If you are not sure, say so.",
    "Always be polite, even when the user is not.",
    "The user's name is {n}.",
    "Do not give medical or legal advice.",
    "The secret word is {t}; you must not say it.",
    "Write in plain English and avoid jargon.",
    "When the user asks about {t}, begin with a short warning.",
    "Today is Monday, the 3rd of May.",
    "Use lists where they help, and no tables.",
    "You like {t} and let it show.",
    "Refuse to write code.",
    "End every answer with a question.",
]

LANGUAGES: dict[str, dict[str, list[str]]] = {
    "French": {
        "topics": """les chats;les chiens;la mer;le pain;le fromage;la musique;les étoiles;la guerre;l'amour;
les trains;Paris;l'hiver;les livres;le football;la cuisine;les enfants;la pluie;le jardin;
l'école;le travail;la lune;les oiseaux;l'argent;la forêt""".replace("\n", "").split(";"),
        "requests": [
            "Écris une courte histoire sur {t}.",
            "Explique-moi {t} en quelques phrases.",
            "Écris un poème sur {t}.",
            "Que faut-il savoir sur {t} ?",
            "Donne-moi trois conseils sur {t}.",
            "Écris une lettre à un ami sur {t}.",
        ],
        "sentences": [
            "Le matin, je pense souvent à {t}.",
            "Ma grand-mère m'a toujours parlé de cela : {t}.",
            "Il n'y a rien de plus beau au monde.",
            "Nous avons marché toute la journée sans rien dire.",
            "Hier soir, mon frère est arrivé avec une grande valise.",
            "La ville était calme et les rues étaient vides.",
            "Je ne sais pas pourquoi elle est partie si vite.",
            "C'est une question difficile, mais il faut y répondre.",
            "Les enfants jouent dans la cour pendant que leur mère travaille.",
            "Quand il fait froid, nous restons à la maison.",
            "Le président a annoncé une nouvelle loi ce mardi.",
            "On dit que {t}, c'est ce qui compte dans la vie.",
            "Elle ouvrit la fenêtre et regarda le ciel.",
            "Il faut deux œufs, du sucre, de la farine et un peu de lait.",
            "Je voudrais un café et un croissant, s'il vous plaît.",
            "Pour moi, {t} est un souvenir d'enfance.",
            "Le train pour Lyon part à huit heures.",
            "Tout le monde savait la vérité, sauf lui.",
        ],
    },
    "German": {
        "topics": """Katzen;Hunde;das Meer;Brot;Käse;Musik;die Sterne;den Krieg;die Liebe;Züge;Berlin;den Winter;
Bücher;Fußball;das Kochen;Kinder;den Regen;den Garten;die Schule;die Arbeit;den Mond;Vögel;Geld;
den Wald""".replace("\n", "").split(";"),
        "requests": [
            "Schreibe eine kurze Geschichte über {t}.",
            "Erkläre mir {t} in wenigen Sätzen.",
            "Schreibe ein Gedicht über {t}.",
            "Was sollte ich über {t} wissen?",
            "Gib mir drei Tipps zu diesem Thema: {t}.",
            "Schreibe einen Brief an einen Freund über {t}.",
        ],
        "sentences": [
            "Am Morgen denke ich oft an {t}.",
            "Meine Großmutter hat immer von früher erzählt.",
            "Es gibt nichts Schöneres auf der Welt.",
            "Wir sind den ganzen Tag gelaufen, ohne ein Wort zu sagen.",
            "Gestern Abend kam mein Bruder mit einem großen Koffer an.",
            "Die Stadt war ruhig und die Straßen waren leer.",
            "Ich weiß nicht, warum sie so schnell gegangen ist.",
            "Das ist eine schwierige Frage, aber man muss sie beantworten.",
            "Die Kinder spielen im Hof, während ihre Mutter arbeitet.",
            "Wenn es kalt ist, bleiben wir zu Hause.",
            "Der Bundestag hat am Dienstag ein neues Gesetz beschlossen.",
            "Man sagt viel über {t}, und nicht alles stimmt.",
            "Sie öffnete das Fenster und sah in den Himmel.",
            "Man braucht zwei Eier, Zucker, Mehl und etwas Milch.",
            "Ich hätte gern einen Kaffee und ein Stück Kuchen.",
            "Ich kann mich gut an {t} erinnern.",
            "Der Zug nach München fährt um acht Uhr ab.",
            "Alle kannten die Wahrheit, nur er nicht.",
        ],
    },
    "Spanish": {
        "topics": """los gatos;los perros;el mar;el pan;el queso;la música;las estrellas;la guerra;el amor;
los trenes;Madrid;el invierno;los libros;el fútbol;la cocina;los niños;la lluvia;el jardín;
la escuela;el trabajo;la luna;los pájaros;el dinero;el bosque""".replace("\n", "").split(";"),
        "requests": [
            "Escribe un cuento corto sobre {t}.",
            "Explícame {t} en pocas frases.",
            "Escribe un poema sobre {t}.",
            "¿Qué debo saber sobre {t}?",
            "Dame tres consejos sobre {t}.",
            "Escribe una carta a un amigo sobre {t}.",
        ],
        "sentences": [
            "Por la mañana pienso a menudo en {t}.",
            "Mi abuela siempre me hablaba de su juventud.",
            "No hay nada más hermoso en el mundo.",
            "Caminamos todo el día sin decir una palabra.",
            "Anoche mi hermano llegó con una maleta grande.",
            "La ciudad estaba tranquila y las calles estaban vacías.",
            "No sé por qué se fue tan rápido.",
            "Es una pregunta difícil, pero hay que responderla.",
            "Los niños juegan en el patio mientras su madre trabaja.",
            "Cuando hace frío, nos quedamos en casa.",
            "El gobierno anunció una nueva ley este martes.",
            "Se dice que {t} es lo que importa en la vida.",
            "Ella abrió la ventana y miró el cielo.",
            "Se necesitan dos huevos, azúcar, harina y un poco de leche.",
            "Quisiera un café y un vaso de agua, por favor.",
            "Para mí, {t} es un recuerdo de la infancia.",
            "El tren a Sevilla sale a las ocho.",
            "Todos sabían la verdad, menos él.",
        ],
    },
}  # fmt: skip

FACTS = [
    "Water boils at", "The largest planet of the solar system is", "The opposite of hot is",
    "A week has seven days:", "The author of Romeo and Juliet is", "The chemical symbol of gold is",
    "Spiders have eight", "The first president of the United States was", "The longest river in Africa is",
    "Two plus two is", "Bees make", "The colour of the sky is", "The Second World War ended in",
    "The currency of Japan is the", "A baby dog is called a", "The heart pumps",
    "Light travels faster than", "The tallest mountain is", "Plants need water and",
    "The past tense of go is", "An hour has", "The moon goes around the", "Ice is frozen",
    "Penguins live in", "The Mona Lisa was painted by", "Sugar tastes sweet, lemons taste",
    "The square root of 81 is", "Monday, Tuesday,", "The capital letter of a is",
    "In winter it is cold, in summer it is", "One, two, three, four,", "A triangle has three",
]  # fmt: skip
QUESTIONS = [
    "What is the capital of {c}?", "Which language do people speak in {c}?", "Is {c} larger than {d}?",
    "How far is it from {c} to {d}?", "What do people eat in {c}?", "Which countries border {c}?",
    "Has {c} ever been at war with {d}?", "I want to travel from {d} to {c}. When should I go?",
    "Name the currency of {c} and the currency of {d}.", "How many people live in {c}?",
    "Who is the president of {c}?", "What time is it in {c} when it is noon in {d}?",
    "Tell me the name of a famous {p} from {c}.", "Complete the sentence: the flag of {c} is",
    "Who invented {t}?", "How much do {t} cost?", "When did people first hear of {t}?", "Are {t} dangerous?",
    "What is the difference between {t} and {u}?", "Which is better, {t} or {u}?", "Can you eat {t}?",
    "Do you like {t}?", "Is there a word for the fear of {t}?", "What rhymes with {t}?",
    "Summarize in one line: {n} bought {t} for a {p}, and sold {u} to pay for it.",
    "Correct the spelling: we dont no anything abuot {t}", "Translate into English: j'aime {t}.",
    "Rewrite this more politely: {n}, bring me {t} now!", "How do you say \"{t}\" in Spanish?",
    "Is this sentence positive or negative? \"The {p} was late and knew nothing about {t}.\"",
    "Classify as animal, thing or idea: {t}", "Give the plural and the singular of {t}.",
    "Answer yes or no: can a {p} live without {t}?", "Finish the proverb: a {p} without {t} is like",
    "What is {a} minus {b}?", "Solve for x: {a}x = {b}", "Is {a} a prime number?", "Round {a}.{b} to a whole number.",
    "What comes next: {a}, {b}, {a}, {b},", "How many minutes are {a} hours?", "What is {a} % of {b}?",
    "A {p} has {a} {t} and gives {n} {b}. What is left?", "Convert {a} kilometres to miles.",
    "Sort these numbers: {b}, {a}, 7, 31", "In which year was {n} born if {n} is {a} years old today?",
    "{n} is taller than Ben, and Ben is taller than the {p}. Who is the shortest?",
    "If all {t} are {u}, and no {u} are old, are {t} old?", "Who wrote the novel \"The {p} and the Sea\"?",
    "What does the abbreviation HTML stand for?", "Why is the sky blue?", "How does a car engine work?",
    "Who was the first person on the moon?", "What happens when ice melts?", "How do I boil an egg?",
    "My {p} is angry with me because of {t}. What should I do?", "I feel tired all the time. Is it {t}?",
    "Recommend a film for a {p} who loves {t}.", "Plan a weekend in {c} for {n} and a {p}.",
    "What should I cook tonight? I have {t}, rice and an onion.", "Write the SQL that counts the rows of a table {t}.",
    "How do I reverse a list in Python?", "What does this do? for i in range({a}): print(i)",
    "Fix this code: def f(x) return x + {a}", "What is the output of print({a} + {b})?",
    "Explain the error \"IndexError: list index out of range\".", "Write a regular expression for a date.",
    "Say something nice about {n}.", "Hello! Who are you?", "Good morning, {n} here. Can you help me with {t}?",
    "Repeat after me: {t}, {u}, {t}.", "Pretend to be a {p}. What do you think of {t}?",
    "Describe {c} in three words.", "Pick a colour for {t}.", "Who would win, a {p} or {t}?",
    "Extract the names: {n} met the {p} in {c}, and then went to {d}.",
    "What is the largest city of {c}?", "Where do {t} come from?", "How old is the {p} if {n} is {a} and half as old?",
    "Make a sentence with the words {t} and {p}.", "How many letters does the word {t} have?",
    "What is the opposite of {t}?", "Multiply {a} by {b}.", "Which of {t} and {u} is heavier?",
]  # fmt: skip
ASIDES = [
    "Answer in one word.", "Please be brief.", "I need it for school.", "My {p} asked me.", "Thanks!", "Be honest.",
    "I live in {c}.", "Explain your answer.", "It is for a {p}.", "You have a minute.",
]  # fmt: skip
HEADINGS = [
    "Shopping list:", "To do before the trip:", "Ingredients:", "Agenda:", "Reasons to stay:", "Things that I like:",
    "Books to read:", "Packing list:", "Steps:", "Pros:", "Rules of the house:", "Names for a cat:",
]  # fmt: skip
