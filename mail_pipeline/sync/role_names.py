"""What servers and mail programs call the folders of each role, in languages other than English."""

NAMES = {
    "sent": (
        "gesendet, gesendete elemente, gesendete objekte, gesendete nachrichten, envoyés, "
        "éléments envoyés, messages envoyés, courrier envoyé, enviados, elementos enviados, "
        "mensajes enviados, correo enviado, itens enviados, mensagens enviadas, inviati, "
        "posta inviata, elementi inviati, verzonden, verzonden items, verzonden berichten, skickat, "
        "skickade objekt, sendt, sendte elementer, sendt post, sendt mail, sendte, lähetetyt, "
        "wysłane, elementy wysłane, odeslané, odeslaná pošta, elküldött elemek, trimise, "
        "gönderilmiş öğeler, gönderilmiş postalar, отправленные, надіслані, 送信済み, "
        "送信済みアイテム, 已发送, 已发送邮件, 寄件備份, 보낸편지함, 보낸 편지함"
    ),
    "drafts": (
        "entwürfe, brouillons, borradores, rascunhos, bozze, concepten, utkast, kladder, luonnokset, "
        "wersje robocze, kopie robocze, koncepty, piszkozatok, ciorne, taslaklar, черновики, "
        "чернетки, 下書き, 草稿, 草稿箱, 임시보관함, 임시 보관함"
    ),
    "trash": (
        "papierkorb, gelöschte elemente, gelöschte objekte, corbeille, éléments supprimés, "
        "messages supprimés, papelera, elementos eliminados, lixeira, itens excluídos, "
        "itens eliminados, cestino, posta eliminata, elementi eliminati, prullenbak, "
        "verwijderde items, papperskorgen, borttagna objekt, papirkurv, slettet post, "
        "slettede elementer, roskakori, poistetut, kosz, elementy usunięte, koš, odstraněná pošta, "
        "törölt elemek, coș de gunoi, çöp kutusu, silinmiş öğeler, корзина, удаленные, удалённые, "
        "кошик, ゴミ箱, 削除済みアイテム, 已删除, 已删除邮件, 垃圾桶, 刪除的郵件, 휴지통, "
        "지운 편지함"
    ),
    "junk": (
        "spamverdacht, unerwünschte werbung, junk-e-mail, courrier indésirable, indésirables, "
        "pourriel, correo no deseado, no deseado, lixo eletrônico, lixo eletrónico, "
        "posta indesiderata, ongewenste e-mail, ongewenste mail, skräppost, søppelpost, "
        "uønsket post, uønsket mail, roskaposti, wiadomości-śmieci, nevyžádaná pošta, levélszemét, "
        "önemsiz e-posta, gereksiz, спам, нежелательная почта, 迷惑メール, 垃圾邮件, 垃圾郵件, "
        "스팸함, 스팸, 정크 메일"
    ),
    "archive": (
        "archiv, archives, archivo, archivados, arquivo, arquivo morto, archivio, archief, arkiv, "
        "arkisto, archiwum, archív, archívum, arhivă, arşiv, архив, архів, アーカイブ, 归档, 存档, "
        "封存, 보관함"
    ),
    "inbox": (
        "posteingang, boîte de réception, bandeja de entrada, caixa de entrada, posta in arrivo, "
        "postvak in, inkorgen, innboks, indbakke, saapuneet, skrzynka odbiorcza, doručená pošta, "
        "beérkezett üzenetek, gelen kutusu, входящие, вхідні, 受信トレイ, 收件箱, 收件匣, "
        "받은편지함, 받은 편지함"
    ),
    "all": (
        "alle nachrichten, tous les messages, todos os e-mails, tutti i messaggi, alle berichten, "
        "all messages, wszystkie, вся почта, すべてのメール, 所有邮件, 全部郵件, 전체보관함"
    ),
}
"""By role, in lower case, separated by commas."""
