"""Transcripts that switch languages: (role, language, words) of each message."""

from __future__ import annotations

TRANSCRIPTS: list[list[tuple[str, str, str]]] = [
    [
        ("user", "English", "Good morning! I would like to bake bread this weekend. What do I need for it?"),
        ("assistant", "English", "You need flour, water, salt and a little yeast, and most of all some patience."),
        ("user", "French", "Merci beaucoup. Combien de temps la pâte doit-elle reposer avant la cuisson ?"),
        ("assistant", "French", "La pâte doit reposer deux heures à la maison, dans un endroit chaud et calme."),
        ("user", "German", "Und wie lange muss das Brot dann bei welcher Temperatur im Ofen bleiben?"),
        ("assistant", "German", "Das Brot bleibt vierzig Minuten im heißen Ofen, danach muss es ruhig abkühlen."),
    ],
    [
        ("user", "Spanish", "Hola, quiero viajar a la montaña con mis hijos. ¿Qué me recomiendas para el verano?"),
        ("assistant", "Spanish", "En verano puedes caminar por los bosques y dormir en una casa cerca del río."),
        ("user", "English", "That sounds lovely. Is the water of the river warm enough to swim in July?"),
        ("assistant", "English", "It is cold in the morning, but most children like to swim there after lunch."),
        ("user", "Italian", "Grazie mille. Dove possiamo mangiare bene la sera senza spendere troppo?"),
        ("assistant", "Italian", "Nel paese c'è una piccola trattoria che fa la pasta fresca tutti i giorni."),
    ],
    [
        ("user", "German", "Guten Abend, ich suche ein gutes Buch über die Geschichte der Seefahrt."),
        ("assistant", "German", "Dann lies die Tagebücher der alten Kapitäne, sie sind spannend und sehr genau."),
        ("user", "Spanish", "¿Y hay también una novela sobre el mar que se pueda leer en pocos días?"),
        ("assistant", "Spanish", "Sí, hay una novela corta sobre un viejo pescador que lucha con un gran pez."),
        ("user", "French", "Je la connais déjà. Avez-vous aussi quelque chose de plus récent pour moi ?"),
        ("assistant", "French", "Oui, ce livre raconte la vie d'une femme qui traverse seule tout l'océan."),
    ],
    [
        ("user", "Portuguese", "Bom dia, meu gato não quer comer desde ontem. O que devo fazer agora?"),
        ("assistant", "Portuguese", "Dê a ele água fresca e espere um pouco; se não melhorar, chame o médico."),
        ("user", "English", "He drinks, but he sleeps all day under the chair and does not want to play."),
        ("assistant", "English", "Then take him to a doctor today, because a cat that does not eat may be ill."),
        ("user", "German", "Danke, ich rufe gleich morgen früh dort an. Was soll ich ihm bis dahin geben?"),
        ("assistant", "German", "Gib ihm nur Wasser und etwas Fisch, und lass ihn an einem warmen Platz schlafen."),
    ],
    [
        ("user", "French", "Bonjour, mon ordinateur est très lent depuis une semaine. Que puis-je faire ?"),
        ("assistant", "French", "Fermez les programmes que vous n'utilisez pas, puis redémarrez la machine."),
        ("user", "Italian", "L'ho fatto ieri sera, ma oggi è ancora molto lento e fa un rumore strano."),
        ("assistant", "Italian", "Forse il disco è vecchio: salva subito i tuoi documenti su un altro disco."),
        ("user", "English", "All right, I will copy everything tonight. How large should the new disk be?"),
        ("assistant", "English", "Twice as large as what you have now, so that there is room for some years."),
    ],
    [
        ("user", "Italian", "Ciao, vorrei imparare a suonare la chitarra. È troppo tardi alla mia età?"),
        ("assistant", "Italian", "Non è mai troppo tardi: bastano venti minuti ogni giorno e tanta voglia."),
        ("user", "Portuguese", "Que bom! Preciso de um professor ou posso aprender sozinho em casa?"),
        ("assistant", "Portuguese", "Um professor ajuda muito no começo, mas depois você pode seguir sozinho."),
        ("user", "Spanish", "¿Y qué guitarra debo comprar si no quiero gastar mucho dinero al principio?"),
        ("assistant", "Spanish", "Compra una guitarra usada y sencilla; lo importante es que esté bien afinada."),
    ],
]  # fmt: skip
