/* Runs in a guest that has nothing but busybox: sends netlink requests and prints the answers in hexadecimal.
 *
 *   netlink_recorder dump NAME TYPE BODY     one line "MESSAGE NAME BODY" for each message of a dump of NETLINK_ROUTE
 *   netlink_recorder ask FAMILY BODY         a request of a family of NETLINK_GENERIC; exit status 1 when refused
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[1 << 17];

static int unhex(const char *text, unsigned char *into)
{
	int size = 0;

	for (; text[0] && text[1]; text += 2)
		sscanf(text, "%2hhx", &into[size++]);
	return size;
}

static int open_netlink(int protocol)
{
	int number = socket(AF_NETLINK, SOCK_RAW, protocol), one = 1;

	setsockopt(number, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	return number;
}

static void request(int number, int type, int flags, const unsigned char *body, int size)
{
	char message[4096] = { 0 };
	struct nlmsghdr *head = (struct nlmsghdr *)message;

	head->nlmsg_len = NLMSG_LENGTH(size);
	head->nlmsg_type = type;
	head->nlmsg_flags = NLM_F_REQUEST | flags;
	head->nlmsg_seq = 1;
	memcpy(NLMSG_DATA(head), body, size);
	send(number, message, head->nlmsg_len, 0);
}

/* Print what comes until the end; the error that ends it, 0 for none. */
static int print_dump(int number, const char *name)
{
	for (;;) {
		int left = recv(number, answer, sizeof(answer), 0);
		struct nlmsghdr *head = (struct nlmsghdr *)answer;

		if (left <= 0)
			return errno;
		for (; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
			unsigned char *body = NLMSG_DATA(head);
			int size = head->nlmsg_len - NLMSG_HDRLEN;

			if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR)
				return -*(int *)body;
			printf("MESSAGE %s ", name);
			for (int i = 0; i < size; i++)
				printf("%02x", body[i]);
			printf("\n");
		}
	}
}

static int family_of(int number, const char *name)
{
	unsigned char body[64] = { CTRL_CMD_GETFAMILY, 1 };
	struct nlattr *attribute = (struct nlattr *)(body + GENL_HDRLEN);
	struct nlmsghdr *head = (struct nlmsghdr *)answer;
	int left;

	attribute->nla_type = CTRL_ATTR_FAMILY_NAME;
	attribute->nla_len = NLA_HDRLEN + strlen(name) + 1;
	strcpy((char *)attribute + NLA_HDRLEN, name);
	request(number, GENL_ID_CTRL, 0, body, GENL_HDRLEN + NLA_ALIGN(attribute->nla_len));
	recv(number, answer, sizeof(answer), 0);
	left = head->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
	attribute = (struct nlattr *)((char *)NLMSG_DATA(head) + GENL_HDRLEN);
	while (left > 0 && attribute->nla_type != CTRL_ATTR_FAMILY_ID) {
		left -= NLA_ALIGN(attribute->nla_len);
		attribute = (struct nlattr *)((char *)attribute + NLA_ALIGN(attribute->nla_len));
	}
	return left > 0 ? *(unsigned short *)((char *)attribute + NLA_HDRLEN) : 0;
}

int main(int argc, char **argv)
{
	unsigned char body[2048];
	int number, error;

	if (argc == 5 && !strcmp(argv[1], "dump")) {
		number = open_netlink(NETLINK_ROUTE);
		request(number, atoi(argv[3]), NLM_F_DUMP, body, unhex(argv[4], body));
		error = print_dump(number, argv[2]);
	} else if (argc == 4 && !strcmp(argv[1], "ask")) {
		number = open_netlink(NETLINK_GENERIC);
		request(number, family_of(number, argv[2]), NLM_F_ACK, body, unhex(argv[3], body));
		do {
			recv(number, answer, sizeof(answer), 0);
		} while (((struct nlmsghdr *)answer)->nlmsg_type != NLMSG_ERROR);
		error = -*(int *)NLMSG_DATA((struct nlmsghdr *)answer);
	} else {
		return 2;
	}
	if (error)
		fprintf(stderr, "%s: %s\n", argv[2], strerror(error));
	return !!error;
}
